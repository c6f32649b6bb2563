"""Wait: until a job has ended, or patience has; and the story of a job, while it is told."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common.jobs.head import Head
from common.jobs.state import JobState
from common.notifier.hints import JobHint
from common.runtime import Runtime
from common.store.base import Event
from common.tasks import cancel_and_join
from ingress.caller import Caller
from ingress.operations.follow import Follower, Watch
from ingress.operations.read import Read

QUIET = 15.0  # seconds between two moments of a story at most
QUIET_IN_LINE = 2.0  # the place in a queue changes without a hint
_IN_LINE = frozenset({JobState.HELD, JobState.QUEUED, JobState.WAITING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is new of a job, and how it stands."""

    head: Head
    anew: bool = False  # what came before is kept no more, or never was: only how it stands
    events: Sequence[Event] = ()
    lines: Sequence[Mapping[str, Any]] = ()  # of the tool's log, as MCP says them


class Wait:
    def __init__(self, runtime: Runtime, follower: Follower, read: Read) -> None:
        self._clock = runtime.clock
        self._follower = follower
        self._read = read
        self._stopping = asyncio.Event()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """The process is about to stop: whoever waits is answered now, with what is known."""
        self._stopping.set()

    async def end(self, job: str, caller: Caller, seconds: float) -> Head:
        """The record at the end of the job, or after so many seconds.

        Raises:
            NotFoundError: No such job for this caller.
            StoreUnreachableError: It cannot be followed.
        """
        head = await self._read.head(job, caller)
        if head.terminal or seconds <= 0:
            return head
        deadline = self._clock.monotonic() + seconds
        async with self._follower.follow(job, everything=False) as watch:
            # It may have ended before the watch stood.
            head = await self._read.head(job, caller)
            while not head.terminal and not self._stopping.is_set():
                patience = deadline - self._clock.monotonic()
                if patience <= 0:
                    break
                await self._next(watch, patience)
                head = await self._read.head(job, caller)
        return head

    async def story(
        self, job: str, caller: Caller, *, after: int = 0, lines: bool = False
    ) -> AsyncGenerator[Moment, None]:
        """What happens to the job after the event of this number, to its end; no event is left out.

        Where older ones than those kept would have to come, the story begins anew with the record
        as it is. There is a moment at once, for each change, for progress, for the tool's log
        `lines` if asked, and when nothing happens at least every `QUIET` seconds.

        Raises:
            NotFoundError: No such job for this caller, or no longer.
            StoreUnreachableError: It cannot be followed any more.
        """
        async with self._follower.follow(job, everything=True) as watch:
            said: Sequence[Mapping[str, Any]] = ()
            while True:
                head = await self._read.head(job, caller)
                # Read after the head: those up to its version are among them, or are kept no more.
                known = head.version == after
                events = () if known else await self._read.events(head, after=after)
                if _is_broken(after, events, head):
                    yield Moment(head=head, anew=True)
                    after = head.version
                    continue
                yield Moment(head=head, events=events, lines=said)
                after, said = events[-1].number if events else after, ()
                if after > head.version:
                    continue
                if head.terminal or self._stopping.is_set():
                    return
                said = await self.stirred(watch, head, lines=lines)

    async def stirred(
        self, watch: Watch, head: Head, *, lines: bool
    ) -> Sequence[Mapping[str, Any]]:
        """Wait for something to tell, or for `QUIET`; the log lines among it."""
        quiet = QUIET_IN_LINE if head.state in _IN_LINE else QUIET
        until = self._clock.monotonic() + quiet
        while (left := until - self._clock.monotonic()) > 0 and not self._stopping.is_set():
            hints = [each for each in await self._heard(watch, left) if lines or each.kind != "log"]
            if hints:
                return [each.body for each in hints if each.kind == "log"]
        return ()

    async def _heard(self, watch: Watch, seconds: float) -> Sequence[JobHint]:
        """The next hint within so many seconds, and all that are there with it."""
        heard = []
        hint = await self._next(watch, seconds)
        while hint is not None:
            heard.append(hint)
            hint = await watch.next(0) if hint is not watch.end else None
        return heard

    async def _next(self, watch: Watch, seconds: float) -> JobHint | None:
        hint = asyncio.create_task(watch.next(seconds))
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({hint, stop}, return_when=asyncio.FIRST_COMPLETED)
            return hint.result() if hint.done() else None
        finally:
            await cancel_and_join(hint, stop)


def _is_broken(after: int, events: Sequence[Event], head: Head) -> bool:
    """Whether events are missing after this number, or it is none that this job has given out."""
    first = events[0].number if events else head.version + 1
    return first > after + 1 or after > head.version
