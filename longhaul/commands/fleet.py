"""`queues`, `workers`, `backends`: how it stands."""

from typing import Annotated

import typer

from longhaul.commands.options import AsJson
from longhaul.commands.speaking import connect
from longhaul.screen.fleet import backend_list, backend_logs, queue_list, worker_list
from longhaul.screen.output import print_json, say, show, warn
from longhaul.screen.words import now

BackendName = Annotated[str, typer.Argument(metavar="BACKEND", help="As `longhaul backends`.")]
Now = Annotated[
    bool, typer.Option("--now", help="Wait for no call that runs on it: it is cut off.")
]
Lines = Annotated[
    int, typer.Option("--lines", "-n", min=1, max=1_000, help="How many of the newest.")
]


QueueName = Annotated[str, typer.Argument(metavar="QUEUE", help="As `longhaul queues`.")]


def register(app: typer.Typer) -> None:
    app.command()(queues)
    app.command()(workers)
    group = typer.Typer(help="The MCP servers behind the router.", invoke_without_command=True)
    group.callback()(backends)
    group.command("ls")(list_backends)
    group.command("disable")(disable)
    group.command("enable")(enable)
    group.command("restart")(restart)
    group.command("logs")(logs)
    group.command("forget")(forget)
    app.add_typer(group, name="backends")
    queue = typer.Typer(help="Pause a queue, or let it go on.", no_args_is_help=True)
    queue.command("pause")(pause)
    queue.command("resume")(resume)
    app.add_typer(queue, name="queue")


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


def pause(queue: QueueName, as_json: AsJson = False) -> None:
    """Start nothing of a queue: its jobs wait, those that run go on."""
    words = f"{queue} is paused; `longhaul queue resume {queue}` ends that."
    _order_queue(queue, "pause", words, as_json=as_json)


def resume(queue: QueueName, as_json: AsJson = False) -> None:
    """Take the jobs of a queue again."""
    _order_queue(queue, "resume", f"{queue} goes on.", as_json=as_json)


def _order_queue(queue: str, order: str, words: str, *, as_json: bool) -> None:
    with connect() as router:
        shown = router.order_queue(queue, order)
    if as_json:
        print_json(shown)
    else:
        say(words)


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


def disable(backend: BackendName, as_json: AsJson = False) -> None:
    """Send a backend no more calls: its jobs wait, those that run go on."""
    _order(backend, "disable", "gets no more calls; `longhaul backends enable` ends that", as_json)


def enable(backend: BackendName, as_json: AsJson = False) -> None:
    """Send a backend calls again."""
    _order(backend, "enable", "gets calls again", as_json)


def restart(backend: BackendName, now: Now = False, as_json: AsJson = False) -> None:
    """Start a backend's replicas afresh, one after the other, each once its calls have ended."""
    words = "is started again now" if now else "is started again, replica by replica"
    _order(backend, "restart", words, as_json, now="true" if now else None)


def logs(backend: BackendName, lines: Lines = 100, as_json: AsJson = False) -> None:
    """Show what a backend wrote to stderr last, as its workers keep it."""
    with connect() as router:
        found = router.backend_logs(backend, lines)
    if as_json:
        print_json(found)
    elif any(each["lines"] is None or each["lines"] for each in found["logs"]):
        show(backend_logs(found["logs"]))
    elif found["logs"]:
        say(f"{backend} has written nothing to stderr, or is a URL: then it keeps its own log.")
    else:
        say(f"No worker runs {backend}.")


def forget(backend: BackendName, as_json: AsJson = False) -> None:
    """Take a backend's tools out of the list for good; no worker may run it any more."""
    with connect() as router:
        done = router.forget_backend(backend)
    if as_json:
        print_json(done)
        return
    tools, failed = done["tools"], done["failed"]
    ended = (
        "1 waiting job of it has failed" if failed == 1 else f"{failed} waiting jobs have failed"
    )
    words = "1 tool" if tools == 1 else f"{tools} tools"
    say(f"{backend} is forgotten with {words}" + (f"; {ended}." if failed else "."))


def _order(backend: str, order: str, words: str, as_json: bool, **query: str | None) -> None:
    with connect() as router:
        shown = router.order_backend(backend, order, **query)
    if as_json:
        print_json(shown)
    else:
        say(f"{backend} {words}.")
