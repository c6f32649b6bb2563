"""Wait: until a job has ended, or patience has; and a job as it changes."""

import asyncio
from collections.abc import AsyncGenerator

from common.jobs.head import Head
from common.runtime import Runtime
from ingress.caller import Caller
from ingress.operations.follow import Follower, Watch
from ingress.operations.read import Read

LOOK = 2.0  # seconds: the place in a queue changes without a hint


class Wait:
    def __init__(self, runtime: Runtime, follower: Follower, read: Read) -> None:
        self._clock = runtime.clock
        self._follower = follower
        self._read = read
        self._stopping = asyncio.Event()

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

    async def changes(self, job: str, caller: Caller) -> AsyncGenerator[Head, None]:
        """The record now, after each change or progress, and every 2 s; ends with the job's end.

        Raises:
            NotFoundError: No such job for this caller, or no longer.
            StoreUnreachableError: It cannot be followed any more.
        """
        async with self._follower.follow(job, everything=True) as watch:
            while True:
                head = await self._read.head(job, caller)
                yield head
                if head.terminal or self._stopping.is_set():
                    return
                await self._next(watch, LOOK)

    async def _next(self, watch: Watch, seconds: float) -> None:
        hint = asyncio.create_task(watch.next(seconds))
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({hint, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            hint.cancel()
            stop.cancel()
