"""What a worker process has running now, and what may end a run early: clocks and orders."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from common.brokers.base import Delivery
from common.jobs.head import Head, StoredCall
from workers.outcome import Clock, Stopped, TimedOut


class Run:
    """One claimed job: its head as claimed, the call, and the delivery that stands for it."""

    def __init__(self, head: Head, call: StoredCall, delivery: Delivery) -> None:
        self.head = head
        self.call = call
        self.delivery = delivery
        self._order = asyncio.timeout(None)
        self._idle = asyncio.timeout(None)
        self._limit = asyncio.timeout(None)
        self._started = False
        self._ordered = False  # to stop

    async def under_clocks(self, call: Awaitable[Any], now_ms: int) -> Any | TimedOut | Stopped:
        """The call's result, unless a clock or an order ends it first; the call is cancelled then.

        `now_ms` is the store's time at the claim: the deadline in the head is by that clock.
        """
        clock, seconds = _limit(self.head, now_ms)
        try:
            async with self._order, self._limit, self._idle:
                self._started = True
                self.sign_of_life()
                if self._ordered:
                    self.stop()
                if seconds is not None:
                    self._limit.reschedule(asyncio.get_running_loop().time() + seconds)
                return await call
        except TimeoutError:
            if self._order.expired():
                return Stopped()
            if self._limit.expired() and seconds is not None:
                return TimedOut(clock, seconds)
            if self._idle.expired():
                return TimedOut("idle", self.head.spec.idle_ms / 1000)
            raise
        finally:
            self._started = False

    def sign_of_life(self) -> None:
        # A clock that has just run out stays run out, whatever comes before its task notices.
        if self._started and self.head.spec.idle_ms and not self._idle.expired():
            now = asyncio.get_running_loop().time()
            self._idle.reschedule(now + self.head.spec.idle_ms / 1000)

    def claim_gone(self) -> None:
        """Somebody else may run it by now. What may not be repeated goes on: nobody repeats it."""
        if self.head.spec.repeatable:
            self.stop()

    def stop(self) -> None:
        """An order to end it: the backend is told, then it is settled. Orders may come twice."""
        self._ordered = True
        if self._started and not self._order.expired():
            self._order.reschedule(asyncio.get_running_loop().time())


def _limit(head: Head, now_ms: int) -> tuple[Clock, float | None]:
    """The maximum run time or what is left until the deadline, whichever comes first; seconds."""
    limits: list[tuple[float, Clock]] = []
    if head.spec.run_ms:
        limits.append((head.spec.run_ms / 1000, "run"))
    if head.deadline:
        limits.append((max(0.0, (head.deadline - now_ms) / 1000), "deadline"))
    if not limits:
        return "run", None
    seconds, clock = min(limits)
    return clock, seconds
