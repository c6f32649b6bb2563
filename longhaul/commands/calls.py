"""`tools`, `call`, `submit`: what agents do, from a terminal."""

from typing import Any

import typer

from common.jobs.idempotency import KEY_RULE, is_key
from longhaul.arguments import arguments_of, unnamed
from longhaul.client import Client
from longhaul.commands.ending import report_end, report_still_running
from longhaul.commands.options import (
    Arguments,
    AsJson,
    At,
    Callback,
    Delay,
    Key,
    Pairs,
    Priority,
    Timeout,
    ToolName,
    seconds,
)
from longhaul.commands.speaking import connect
from longhaul.exits import Exit, UnreachableError, UsageError
from longhaul.following import StillRunning, follow
from longhaul.screen.fleet import tool_list
from longhaul.screen.live import Live, job_moved
from longhaul.screen.output import out, print_json, say, show, warn


def register(app: typer.Typer) -> None:
    app.command()(tools)
    app.command()(call)
    app.command()(submit)


def tools(as_json: AsJson = False) -> None:
    """List the tools that can be called."""
    with connect() as router:
        listed = router.get("/v1/tools")
    if as_json:
        print_json(listed)
    elif listed["tools"]:
        show(tool_list(listed["tools"]))
    else:
        say("No tools yet: no backend has told what it offers. `longhaul backends` says why.")


def call(
    tool: ToolName,
    pairs: Pairs = None,
    arguments: Arguments = None,
    priority: Priority = None,
    key: Key = None,
    at: At = None,
    delay: Delay = None,
    timeout: Timeout = None,
    as_json: AsJson = False,
) -> None:
    """Call a tool, show its progress, print its result. Ctrl-C cancels the job."""
    patience = seconds(timeout)
    _check_key(key)
    with connect() as router:
        given = _arguments(router, tool, pairs, arguments)
        job = router.submit(tool, given, key, priority=priority, run_at=at, delay=delay)
        try:
            with Live(tool, job_moved) as live:
                job = follow(router, job["id"], patience, live.show, say)
        except (StillRunning, UnreachableError) as still:
            report_still_running(job["id"], str(still), as_json=as_json)
        except KeyboardInterrupt:
            _cancel(router, job["id"])
            raise typer.Exit(Exit.ENDED_BADLY) from None
    report_end(job, as_json=as_json)


def submit(
    tool: ToolName,
    pairs: Pairs = None,
    arguments: Arguments = None,
    priority: Priority = None,
    key: Key = None,
    at: At = None,
    delay: Delay = None,
    callback: Callback = None,
    as_json: AsJson = False,
) -> None:
    """Call a tool without waiting; prints the id of the job."""
    _check_key(key)
    with connect() as router:
        given = _arguments(router, tool, pairs, arguments)
        told = None if callback is None else {"url": callback}
        job = router.submit(
            tool, given, key, priority=priority, run_at=at, delay=delay, callback=told
        )
    if as_json:
        print_json(job)
    else:
        out.print(job["id"])


def _check_key(key: str | None) -> None:
    if key is not None and not is_key(key):
        raise UsageError(f"--key: should be {KEY_RULE}")


def _arguments(
    router: Client, tool: str, pairs: list[str] | None, arguments: str | None
) -> dict[str, Any]:
    # Only pairs need the schema; a JSON object is judged by the router alone.
    schema = router.tool(tool)["input_schema"] if pairs else {}
    given = arguments_of(schema, arguments, pairs or ())
    for remark in unnamed(schema, pairs or ()):
        warn(remark)
    return given


def _cancel(router: Client, job: str) -> None:
    after = router.cancel(job)
    if after["state"] == "cancelled":
        say(f"cancelled job {job}")
    else:
        say(f"job {job} had ended already: {after['state']}")
