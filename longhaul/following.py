"""Following a job to its end over a connection that may break; it goes on where it stopped."""

from collections.abc import Callable
from typing import Any

from common.clock import SystemClock
from longhaul.client import Client, ConnectionLostError
from longhaul.event_stream import StreamEvent
from longhaul.exits import BY_STATE, UnreachableError
from longhaul.patience import PATIENCE, Patience

Job = dict[str, Any]

PAUSE = 0.5
_WHOLE = {"job", "snapshot", "end"}  # events that show how the job stands


class StillRunning(Exception):
    """Nobody waits any longer."""

    def __init__(self, job: str, why: str) -> None:
        super().__init__(why)
        self.job = job


def follow(
    client: Client,
    job: str,
    timeout: float | None,
    seen: Callable[[Job], None],
    said: Callable[[str], None],
    *,
    away: float = PATIENCE,
) -> Job:
    """The job at its end; `seen` hears every change, `said` what a person should know meanwhile.

    A router may be `away` for so many seconds.

    Raises:
        StillRunning: The time is over, or the router went away and did not come back.
        UnreachableError: The router never answered.
        NotThereError: There is no such job.
    """
    clock = SystemClock()
    patience = Patience(clock, away, timeout)
    shown: Job = {}
    last = ""
    while True:
        try:
            story = client.story(job, after=last, silence=patience.silence, opened=patience.heard)
            for event in story:
                last = event.id or last
                if event.name not in {*_WHOLE, "progress"}:
                    continue
                shown = event.data if event.name in _WHOLE else shown | {"progress": event.data}
                seen(shown)
                if shown["state"] in BY_STATE:
                    return shown
                if patience.over:
                    raise StillRunning(job, f"it is still {shown['state']}")
        except UnreachableError as error:
            if patience.over:
                raise StillRunning(job, "it has not ended yet") from error
            _bear(error, client, job, patience, said)
        clock.pause(PAUSE)


def follow_output(
    client: Client,
    job: str,
    after: str,
    seen: Callable[[StreamEvent], None],
    said: Callable[[str], None],
    *,
    away: float = PATIENCE,
) -> Job:
    """The job at its end; `seen` hears each entry of its output once, and of what is missing.

    The rest is as with `follow`.

    Raises:
        StillRunning: The router went away and did not come back.
        UnreachableError: The router never answered.
        NotThereError: There is no such job.
    """
    clock = SystemClock()
    patience = Patience(clock, away)
    while True:
        try:
            for event in client.output_story(job, after=after, opened=patience.heard):
                if event.name == "end":
                    return event.data
                after = event.id or after
                seen(event)
        except UnreachableError as error:
            _bear(error, client, job, patience, said)
        clock.pause(PAUSE)


def _bear(
    error: UnreachableError,
    client: Client,
    job: str,
    patience: Patience,
    said: Callable[[str], None],
) -> None:
    """Nothing, while the router may come back. Raises: StillRunning, or the error itself."""
    if not patience.may_come_back(reached=isinstance(error, ConnectionLostError)):
        if not patience.answered:
            raise error
        raise StillRunning(job, f"{client.url} went away and has not come back") from error
    if patience.tells():
        said(
            f"{client.url} went away; waiting {patience.away:g} s for it to come back. "
            f"Job {job} is kept, whatever happens here"
        )
