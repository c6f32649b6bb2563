"""Following a job to its end over a connection that may break; it goes on where it stopped."""

from collections.abc import Callable
from typing import Any

from common.clock import Clock, SystemClock
from longhaul.client import STREAM_SILENCE, Client, ConnectionLostError
from longhaul.event_stream import StreamEvent
from longhaul.exits import BY_STATE, UnreachableError

Job = dict[str, Any]

PATIENCE = 60.0  # seconds for a router to come back, as it does from a restart
PAUSE = 0.5
_WHOLE = {"job", "snapshot", "end"}  # events that show how the job stands


class StillRunning(Exception):
    """Nobody waits any longer."""

    def __init__(self, job: str, why: str) -> None:
        super().__init__(why)
        self.job = job


def follow(client: Client, job: str, timeout: float | None, seen: Callable[[Job], None]) -> Job:
    """The job at its end; `seen` hears every change.

    Raises:
        StillRunning: The time is over.
        UnreachableError: The router does not answer, or went away and did not come back.
        NotThereError: There is no such job.
    """
    clock = SystemClock()
    patience = _Patience(clock, timeout)
    shown: Job = {}
    last = ""
    while True:
        try:
            for event in client.story(job, after=last, silence=patience.silence):
                patience.heard()
                last = event.id or last
                if event.name in _WHOLE:
                    shown = event.data
                elif event.name == "progress":
                    shown = shown | {"progress": event.data}
                else:
                    continue
                seen(shown)
                if shown["state"] in BY_STATE:
                    return shown
                if patience.over:
                    raise StillRunning(job, f"it is still {shown['state']}")
        except UnreachableError as error:
            if patience.over:
                raise StillRunning(job, "it has not ended yet") from error
            if not patience.may_come_back(reached=isinstance(error, ConnectionLostError)):
                raise
        clock.pause(PAUSE)


def follow_output(client: Client, job: str, after: str, seen: Callable[[StreamEvent], None]) -> Job:
    """The job at its end; `seen` hears each entry of its output once, and of what is missing.

    Raises:
        UnreachableError: The router does not answer, or went away and did not come back.
        NotThereError: There is no such job.
    """
    clock = SystemClock()
    patience = _Patience(clock, None)
    while True:
        try:
            for event in client.output_story(job, after=after):
                patience.heard()
                if event.name == "end":
                    return event.data
                after = event.id or after
                seen(event)
        except UnreachableError as error:
            if not patience.may_come_back(reached=isinstance(error, ConnectionLostError)):
                raise
        clock.pause(PAUSE)


class _Patience:
    """How long to wait for the job in all, and for a router that went away."""

    def __init__(self, clock: Clock, timeout: float | None) -> None:
        self._now = clock.monotonic
        self._deadline = None if timeout is None else self._now() + timeout
        self._lost_at: float | None = None
        self._answered = False

    @property
    def over(self) -> bool:
        return self._deadline is not None and self._now() >= self._deadline

    @property
    def silence(self) -> float:
        if self._deadline is None:
            return STREAM_SILENCE
        return min(STREAM_SILENCE, max(0.1, self._deadline - self._now()))

    def heard(self) -> None:
        self._lost_at = None
        self._answered = True

    def may_come_back(self, *, reached: bool) -> bool:
        """A router that never answered will not; one that did has a while."""
        if self._lost_at is None:
            self._lost_at = self._now()
            return reached or self._answered
        return self._now() - self._lost_at < PATIENCE
