"""Turnover: replicas that should be replaced are, one after the other, each once nothing runs."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from workers.backends.replica import Replica

BACK_WITHIN = 30.0  # seconds; then the next one is replaced all the same


class Turnover:
    """`change` returns when something about a replica has changed."""

    def __init__(self, change: Callable[[], Awaitable[object]]) -> None:
        self._change = change
        self._wanted: asyncio.Queue[Replica] = asyncio.Queue()
        self._why: dict[Replica, str] = {}

    def wear(self, replica: Replica, why: str) -> None:
        """It should be replaced. Asked twice before its turn, it is replaced once."""
        if replica not in self._why:
            self._why[replica] = why
            self._wanted.put_nowait(replica)

    async def run(self) -> None:
        while True:
            replica = await self._wanted.get()
            before = replica.starts
            if replica.ready:
                replica.fitness.retire(self._why[replica])
                while replica.starts == before:  # as long as its calls take
                    await self._change()
            else:
                replica.hurry()  # it starts afresh anyway
            del self._why[replica]
            with suppress(TimeoutError):
                async with asyncio.timeout(BACK_WITHIN):
                    while not replica.ready:
                        await self._change()
