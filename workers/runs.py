"""What a worker process has running now, and what may end a run early: clocks and orders."""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.jobs.head import Head, StoredCall
from common.jobs.questions import Round
from workers.holding import Held
from workers.outcome import Clock, Drained, Refused, Stopped, TimedOut


class Run:
    """One claimed job: its head as claimed, the call, and the delivery that stands for it."""

    def __init__(
        self,
        head: Head,
        call: StoredCall,
        delivery: Held,
        asked: Round | None = None,
        checkpoint: bytes | None = None,
    ) -> None:
        self.head = head
        self.call = call
        self.delivery = delivery
        self.asked = asked  # the newest questions of its tool
        self.checkpoint = checkpoint  # the newest: what the next call of its tool begins from
        self.outbox: Path | None = None  # a folder for its tool's files
        self.task = head.backend_task  # the backend's own, that the call goes on as
        self.entrusted = bool(self.task)  # so the record says: whoever claims it next follows it
        self.parked = False  # it waits, or waited, for an answer: its delivery was released
        self.news = asyncio.Event()  # its question may have been answered
        self._timer = asyncio.timeout(None)
        self._ends: dict[Clock, float] = {}  # when each clock runs out, on the loop's clock
        self._started = False
        self._paused = False
        self._ordered: Stopped | Drained | Refused | None = None  # to end
        self._obeys = False  # the order ends it, whatever the clocks say

    async def under_clocks(
        self, call: Awaitable[Any], now_ms: int
    ) -> Any | TimedOut | Stopped | Drained | Refused:
        """The call's result, unless a clock or an order ends it first; the call is cancelled then.

        `now_ms` is the store's time at the claim: the deadline in the head is by that clock.
        """
        limits = _limits(self.head, now_ms)
        try:
            async with self._timer:
                self._started = True
                began = asyncio.get_running_loop().time()
                for clock, seconds in limits.items():
                    self._ends[clock] = began + seconds
                if self._ordered is not None:
                    self._end()
                self._set_timer()
                return await call
        except TimeoutError:
            if not self._timer.expired():
                raise
            if self._obeys and self._ordered is not None:
                return self._ordered
            clock = min(self._ends, key=lambda each: self._ends[each])
            return TimedOut(clock, limits[clock])
        finally:
            self._started = False

    def sign_of_life(self) -> None:
        if self.head.spec.idle_ms and self._ticks and not self._paused:
            now = asyncio.get_running_loop().time()
            self._ends["idle"] = now + self.head.spec.idle_ms / 1000
            self._set_timer()

    @contextmanager
    def pause(self) -> Iterator[None]:
        """While somebody is asked only the deadline goes on: it is not the tool that is slow."""
        began = asyncio.get_running_loop().time()
        run = None
        if self._ticks:
            run = self._ends.pop("run", None)
            self._ends.pop("idle", None)
        self._paused = True
        self._set_timer()
        try:
            yield
        finally:
            self._paused = False
            if run is not None:
                self._ends["run"] = run + asyncio.get_running_loop().time() - began
            self._set_timer()
            self.sign_of_life()

    async def park(self) -> None:
        """Its delivery stands for it no longer: the slot is free, the record's owner stays."""
        self.parked = True
        await self.delivery.ack()

    def claim_gone(self) -> None:
        """Somebody else may run it by now. What may not be repeated goes on: nobody repeats it.

        What goes on at the backend is followed by whoever has the claim.
        """
        self.news.set()
        if self.head.spec.repeatable or self.entrusted:
            self.stop()

    def stop(self) -> None:
        """An order to end it: the backend is told, then it is settled. Orders may come twice."""
        self._ordered = Stopped()
        self._end()

    def refuse(self, error: Mapping[str, Any]) -> None:
        """It has done what no try may do: it ends, and its job with this error."""
        self._ordered = self._ordered or Refused(error)
        self._end()

    def hand_back(self) -> bool:
        """The worker stops: what may run again elsewhere, or goes on at its backend, ends here."""
        if not (self.head.spec.repeatable or self.entrusted):
            return False
        self._ordered = self._ordered or Drained()
        self._end()
        return True

    def _end(self) -> None:
        if self._ticks:
            self._obeys = True
            self._timer.reschedule(asyncio.get_running_loop().time())

    @property
    def _ticks(self) -> bool:
        """What has just run out stays run out, whatever comes before its task notices."""
        return self._started and not self._timer.expired()

    def _set_timer(self) -> None:
        if self._ticks and not self._obeys:
            self._timer.reschedule(min(self._ends.values(), default=None))


def _limits(head: Head, now_ms: int) -> dict[Clock, float]:
    """Seconds until each clock of a run ends it."""
    limits: dict[Clock, float] = {}
    if head.spec.idle_ms:
        limits["idle"] = head.spec.idle_ms / 1000
    if head.spec.run_ms:
        limits["run"] = head.spec.run_ms / 1000
    if head.deadline:
        limits["deadline"] = max(0.0, (head.deadline - now_ms) / 1000)
    return limits
