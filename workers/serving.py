"""Serving: one queue, consumed for as long as something behind it takes calls."""

import asyncio
from collections.abc import Collection, Coroutine
from contextlib import AsyncExitStack
from typing import Any

import structlog

from common.brokers.base import Broker, Consumer
from common.tasks import first_of
from workers.backends.pool import BackendPool
from workers.executor import Executor
from workers.holding import Held

log = structlog.get_logger(__name__)


class Serving:
    """`pools` are all backends that the queue carries; with one, its breakers stop consuming.

    A queue of several goes on: what cannot run now is parked, and holds up nothing of the others.
    """

    def __init__(
        self,
        broker: Broker,
        executor: Executor,
        queue: str,
        slots: int,
        pools: Collection[BackendPool],
        draining: asyncio.Event,
    ) -> None:
        self._broker = broker
        self._executor = executor
        self._queue = queue
        self._pool = next(iter(pools)) if len(pools) == 1 else None
        self._draining = draining
        self._open, self._halted = asyncio.Event(), asyncio.Event()
        self._open.set()
        self._room = asyncio.Semaphore(slots)
        self.slots = slots
        self.busy = 0
        self.paused = False  # nothing behind it takes calls

    def halt(self, *, wanted: bool) -> None:
        """An operator's pause: nothing more is taken while it is wanted; what runs goes on."""
        begins, ends = (self._halted, self._open) if wanted else (self._open, self._halted)
        ends.clear()
        begins.set()

    async def run(self) -> None:
        """Until drained; what was taken has ended then."""
        async with asyncio.TaskGroup() as spells:
            while not self._draining.is_set():
                await self._until_or_drained(self._takes_calls(wanted=True))
                if self._draining.is_set():
                    return
                self.paused = False
                over = asyncio.Event()
                # What it took goes on beside the next spell.
                spells.create_task(self._consume(over))
                await self._until_or_drained(self._takes_calls(wanted=False))
                over.set()
                self.paused = not self._draining.is_set()
                log.info("queue.paused" if self.paused else "queue.drained", queue=self._queue)

    async def _consume(self, over: asyncio.Event) -> None:
        """One spell: until it is over, and what was taken has ended."""
        async with AsyncExitStack() as stack:
            deliveries = await stack.enter_async_context(
                self._broker.consume(self._queue, self.slots)
            )
            runs = await stack.enter_async_context(asyncio.TaskGroup())
            log.info("queue.served", queue=self._queue, slots=self.slots)
            stopping = runs.create_task(_stop(deliveries, over))
            async for delivery in deliveries:
                self.busy += 1
                held = Held(delivery, self._freed, self._room)
                runs.create_task(self._executor.run(held))
            stopping.cancel()

    def _freed(self) -> None:
        self.busy -= 1

    async def _takes_calls(self, *, wanted: bool) -> None:
        if not wanted:
            await first_of(self._halted.wait(), self._pool_takes(wanted=False))
            return
        while not self._open.is_set() or not (self._pool is None or self._pool.takes_calls):
            await self._open.wait()
            await self._pool_takes(wanted=True)

    async def _pool_takes(self, *, wanted: bool) -> None:
        if self._pool is not None:
            await self._pool.until(takes_calls=wanted)
        elif not wanted:
            await asyncio.Event().wait()

    async def _until_or_drained(self, fact: Coroutine[Any, Any, None]) -> None:
        await first_of(fact, self._draining.wait())


async def _stop(deliveries: Consumer, over: asyncio.Event) -> None:
    await over.wait()
    await deliveries.stop()
