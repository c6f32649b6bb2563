"""Output: what a job's tool says, read on from a number, now or as it comes. No writes."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from common.jobs.head import Head
from common.jobs.output import OutputEntry
from common.runtime import Runtime
from ingress.caller import Caller
from ingress.operations.follow import Follower
from ingress.operations.read import Read
from ingress.operations.wait import Wait

PAGE = 500  # entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is new in a job's output after a number, and how the job stood before it was read."""

    head: Head
    entries: Sequence[OutputEntry]  # the oldest first
    cursor: int  # the number to read on from
    dropped: int  # said after the number asked for, and kept no more
    more: bool  # there is more than these

    @property
    def ended(self) -> bool:
        """Nothing comes after this."""
        return self.head.terminal and not self.more


class Output:
    def __init__(self, runtime: Runtime, follower: Follower, read: Read, wait: Wait) -> None:
        self._store = runtime.store
        self._follower = follower
        self._read = read
        self._wait = wait

    async def after(self, job: str, caller: Caller, number: int, limit: int = PAGE) -> Said:
        """What was said after this number; from the beginning where no such number was given out.

        Raises:
            NotFoundError: No such job for this caller.
            StoreUnreachableError: Nobody knows.
        """
        # The head first: when it has ended, nothing is said after this.
        head = await self._read.head(job, caller)
        read = await self._store.output(job, after=number, limit=limit)
        if number > read.last:
            number = 0
            read = await self._store.output(job, after=number, limit=limit)
        dropped = read.entries[0].number - number - 1 if read.entries else read.last - number
        cursor = number + dropped + len(read.entries)
        return Said(
            head=head,
            entries=read.entries,
            cursor=cursor,
            dropped=dropped,
            more=cursor < read.last,
        )

    async def live(self, job: str, caller: Caller, number: int) -> AsyncGenerator[Said, None]:
        """What was said after this number and what comes, to the job's end; each entry once.

        Something comes at least every quarter of a minute, be it nothing new. It stops before the
        end when the process does.

        Raises:
            NotFoundError: No such job for this caller, or no longer.
            StoreUnreachableError: It cannot be followed any more.
        """
        async with self._follower.follow(job, everything=True) as watch:
            while True:
                said = await self.after(job, caller, number)
                yield said
                number = said.cursor
                if said.more:
                    continue
                if said.ended or self._wait.stopping:
                    return
                await self._wait.stirred(watch, said.head, lines=True)
