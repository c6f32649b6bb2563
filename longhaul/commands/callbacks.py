"""`callbacks`: ends of jobs that could not be told to their URLs, and telling them again."""

from enum import StrEnum
from typing import Annotated

import typer

from longhaul.client import Client
from longhaul.commands.options import AsJson
from longhaul.commands.speaking import connect
from longhaul.exits import UsageError
from longhaul.following import Job
from longhaul.screen.callbacks import callback_list
from longhaul.screen.output import print_json, say, show
from longhaul.screen.words import now

_PAGE = 200


class _State(StrEnum):
    FAILED = "failed"
    PENDING = "pending"
    DELIVERED = "delivered"


_NONE = {
    _State.FAILED: "No callback has failed.",
    _State.PENDING: "No callback is pending.",
    _State.DELIVERED: "No callback was delivered.",
}


State = Annotated[_State, typer.Option(help="Callbacks in this state.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, the newest first.")]
JobIds = Annotated[
    list[str] | None, typer.Argument(metavar="[JOB]...", help="Ids of jobs.", show_default=False)
]
All = Annotated[bool, typer.Option("--all", help="All callbacks that were given up.")]


def register(app: typer.Typer) -> None:
    about = "Messages that tell URLs of the end of jobs."
    callbacks = typer.Typer(help=about, no_args_is_help=True)
    callbacks.command("ls")(ls)
    callbacks.command("replay")(replay)
    app.add_typer(callbacks, name="callbacks")


def ls(state: State = _State.FAILED, limit: Limit = 30, as_json: AsJson = False) -> None:
    """List jobs by the state of their callback; those that were given up unless you say another."""
    with connect() as router:
        jobs = _list(router, state, limit)
    if as_json:
        print_json({"jobs": jobs})
    elif jobs:
        show(callback_list(jobs, now()))
    else:
        say(_NONE[state])


def replay(jobs: JobIds = None, every: All = False, as_json: AsJson = False) -> None:
    """Send callbacks again now, with all their tries; receivers know them by the same id."""
    if bool(jobs) == every:
        raise UsageError("name jobs, or say --all for all that were given up")
    with connect() as router:
        ids = jobs or [job["id"] for job in _list(router, _State.FAILED, None)]
        sent = [router.replay_callback(job) for job in ids]
    if as_json:
        print_json({"jobs": sent})
    else:
        for job in sent:
            say(f"sent again: the callback of job {job['id']} to {job['callback']['url']}")
        if not sent:
            say("No callback was given up.")


def _list(router: Client, state: _State, limit: int | None) -> list[Job]:
    found: list[Job] = []
    cursor: str | None = None
    while True:
        size = _PAGE if limit is None else min(_PAGE, limit - len(found))
        page = router.get("/v1/callbacks", state=state, limit=size, cursor=cursor)
        found += page["jobs"]
        cursor = page["cursor"]
        if cursor is None or (limit is not None and len(found) >= limit):
            return found
