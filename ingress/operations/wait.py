"""Wait: until a job has ended, or patience has; and a job as it changes."""

from collections.abc import AsyncGenerator

from common.clock import Clock
from common.jobs.head import Head
from ingress.caller import Caller
from ingress.operations.follow import Follower
from ingress.operations.read import Read

LOOK = 2.0  # seconds: the place in a queue changes without a hint


async def wait_for_end(
    follower: Follower, read: Read, clock: Clock, job: str, caller: Caller, seconds: float
) -> Head:
    """The record at the end of the job, or after so many seconds.

    Raises:
        NotFoundError: No such job for this caller.
        StoreUnreachableError: It cannot be followed.
    """
    head = await read.head(job, caller)
    if head.terminal or seconds <= 0:
        return head
    deadline = clock.monotonic() + seconds
    async with follower.follow(job, everything=False) as watch:
        # It may have ended before the watch stood.
        head = await read.head(job, caller)
        while not head.terminal and (patience := deadline - clock.monotonic()) > 0:
            await watch.next(patience)
            head = await read.head(job, caller)
    return head


async def changes(
    follower: Follower, read: Read, job: str, caller: Caller
) -> AsyncGenerator[Head, None]:
    """The record now, after each change or progress, and every 2 s; ends with the job's end.

    Raises:
        NotFoundError: No such job for this caller, or no longer.
        StoreUnreachableError: It cannot be followed any more.
    """
    async with follower.follow(job, everything=True) as watch:
        while True:
            head = await read.head(job, caller)
            yield head
            if head.terminal:
                return
            await watch.next(LOOK)
