"""`queues`, `workers`, `backends`: how it stands."""

import typer

from longhaul.commands.options import AsJson
from longhaul.commands.speaking import connect
from longhaul.screen.fleet import backend_list, queue_list, worker_list
from longhaul.screen.output import print_json, say, show, warn
from longhaul.screen.words import now


def register(app: typer.Typer) -> None:
    app.command()(queues)
    app.command()(workers)
    group = typer.Typer(help="The MCP servers behind the router.", invoke_without_command=True)
    group.callback()(backends)
    group.command("ls")(list_backends)
    app.add_typer(group, name="backends")


def queues(as_json: AsJson = False) -> None:
    """List the queues: what waits, and what works on it."""
    with connect() as router:
        listed = router.get("/v1/queues")
    if as_json:
        print_json(listed)
        return
    if listed["queues"]:
        show(queue_list(listed["queues"]))
    else:
        say("No queues: no backends are configured.")
    if listed["broker_unreachable_since"]:
        warn(f"the broker is unreachable since {listed['broker_unreachable_since']}")


def workers(as_json: AsJson = False) -> None:
    """List the live workers, their slots and backends."""
    with connect() as router:
        listed = router.get("/v1/workers")
    if as_json:
        print_json(listed)
    elif listed["workers"]:
        show(worker_list(listed["workers"], now()))
    else:
        say("No worker is running; `longhaul worker` starts one. Calls wait in their queues.")


def backends(context: typer.Context, as_json: AsJson = False) -> None:
    """List the backends: up or not, and what those that are not said last."""
    if context.invoked_subcommand is None:
        list_backends(as_json=as_json)


def list_backends(as_json: AsJson = False) -> None:
    """List the backends: up or not, and what those that are not said last."""
    with connect() as router:
        listed = router.get("/v1/backends")
    if as_json:
        print_json(listed)
        return
    if listed["backends"]:
        show(backend_list(listed["backends"]))
    else:
        say("No backends are configured; add one under mcpServers in longhaul.yaml.")
    for collision in listed["collisions"]:
        warn(collision)
