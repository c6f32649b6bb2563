"""How a command that waited for a job reports: the result on standard output, an exit code."""

from collections.abc import Mapping
from typing import Any, NoReturn

import typer

from longhaul.exits import Exit, exit_of
from longhaul.screen.output import fail, out, print_json, say
from longhaul.screen.results import result_text


def report_end(job: Mapping[str, Any], *, as_json: bool) -> NoReturn:
    """Print what came of it, and leave with its code."""
    code = exit_of(job["state"], tool_error=job["tool_error"])
    if as_json:
        print_json(job)
    elif job["state"] == "completed":
        text = result_text(job["result"])
        if job["tool_error"]:
            fail(f"the tool reported an error: {text}")
        else:
            out.print(text, markup=False, soft_wrap=True)
    else:
        fail(f"job {job['id']} {_ended(job['state'])}: {job['reason']}")
    raise typer.Exit(code)


def report_still_running(job: str, why: str, *, as_json: bool) -> NoReturn:
    """The id goes to standard output, so that a script has it."""
    if as_json:
        print_json({"id": job, "still_running": True, "why": why})
    else:
        out.print(job)
    say(f"{why}; job {job} goes on: longhaul jobs wait {job}")
    raise typer.Exit(Exit.STILL_RUNNING)


def _ended(state: str) -> str:
    return {"cancelled": "was cancelled", "lost": "is lost", "dead": "is a dead letter"}.get(
        state, "failed"
    )
