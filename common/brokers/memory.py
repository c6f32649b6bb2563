"""The broker of embedded mode: priority queues inside the process.

Nothing here outlives the process; whoever opens the runtime publishes again what the store says
is waiting. Idle it does nothing: consumers sleep on events, one timer runs while tokens are parked.
"""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from common.brokers.base import BrokerError, Consumer, Delivery, Depth, lane_for
from common.clock import Clock
from common.jobs.token import Token, encode_token


@dataclass(order=True, slots=True)
class _Message:
    rank: tuple[int, int]  # minus the priority, then the order of publication
    raw: bytes = field(compare=False)
    published_at: float = field(compare=False)
    redelivered: bool = field(compare=False, default=False)


class _Queue:
    """What waits, best first, and who wants it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.ready: list[_Message] = []
        self.consumers: set[MemoryConsumer] = set()

    def put(self, message: _Message) -> None:
        heapq.heappush(self.ready, message)
        for consumer in self.consumers:
            consumer.changed.set()


class MemoryDelivery:
    __slots__ = ("_consumer", "_message")

    def __init__(self, consumer: "MemoryConsumer", message: _Message) -> None:
        self._consumer = consumer
        self._message = message

    @property
    def queue(self) -> str:
        return self._consumer.queue.name

    @property
    def raw(self) -> bytes:
        return self._message.raw

    @property
    def published_at(self) -> float:
        return self._message.published_at

    @property
    def priority(self) -> int:
        return -self._message.rank[0]

    @property
    def redelivered(self) -> bool:
        return self._message.redelivered

    async def ack(self) -> None:
        self._consumer.release(self._message)


class MemoryConsumer:
    def __init__(self, queue: _Queue, slots: int) -> None:
        self.queue = queue
        self.changed = asyncio.Event()
        self._slots = slots
        self._held: dict[int, _Message] = {}  # by identity: handed out and not acked
        self._stopped = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        while not self._stopped:
            if self.queue.ready and len(self._held) < self._slots:
                message = heapq.heappop(self.queue.ready)
                self._held[id(message)] = message
                return MemoryDelivery(self, message)
            self.changed.clear()
            await self.changed.wait()
        raise StopAsyncIteration

    async def stop(self) -> None:
        self._stopped = True
        self.changed.set()

    def release(self, message: _Message) -> None:
        if self._held.pop(id(message), None) is not None:
            self.changed.set()

    def give_back(self) -> None:
        held, self._held = self._held, {}
        for message in held.values():
            message.redelivered = True
            self.queue.put(message)


@dataclass(order=True, slots=True)
class _Parked:
    due: float  # monotonic seconds
    message: _Message
    queue: str = field(compare=False)


class MemoryBroker:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queues: dict[str, _Queue] = {}
        self._order = itertools.count()
        self._parked: list[_Parked] = []
        self._timer: asyncio.Task[None] | None = None
        self._closed = False

    async def declare(self, queue: str) -> None:
        self._queue(queue)

    async def publish(self, queue: str, token: Token, priority: int) -> None:
        self._queue(queue).put(self._message(token, priority))

    async def park(self, queue: str, token: Token, priority: int, delay: float) -> None:
        self._queue(queue)
        due = self._clock.monotonic() + lane_for(delay) / 1000
        parked = _Parked(due=due, message=self._message(token, priority), queue=queue)
        heapq.heappush(self._parked, parked)
        # The timer sleeps until the earliest: a new earliest one needs a new timer.
        if self._parked[0] is parked:
            self._stop_timer()
            self._timer = asyncio.create_task(self._release_parked(), name="broker.lanes")

    @asynccontextmanager
    async def consume(self, queue: str, slots: int) -> AsyncIterator[Consumer]:
        source = self._queue(queue)
        consumer = MemoryConsumer(source, slots)
        source.consumers.add(consumer)
        try:
            yield consumer
        finally:
            source.consumers.discard(consumer)
            await consumer.stop()
            consumer.give_back()

    async def depth(self, queue: str) -> Depth | None:
        known = self._queues.get(queue)
        if known is None:
            return None
        return Depth(ready=len(known.ready), consumers=len(known.consumers))

    async def drain(
        self,
        limit: int,  # noqa: ARG002 - the port's; a token here always has a queue to go to
        handle: Callable[[str, bytes], Awaitable[None]],  # noqa: ARG002 - the same
    ) -> int:
        return 0

    @property
    def unreachable_since(self) -> float | None:
        return None

    async def aclose(self) -> None:
        self._closed = True
        self._stop_timer()
        for queue in self._queues.values():
            for consumer in queue.consumers:
                await consumer.stop()

    def _queue(self, name: str) -> _Queue:
        if self._closed:
            raise BrokerError("the broker is closed")
        known = self._queues.get(name)
        if known is None:
            known = self._queues[name] = _Queue(name)
        return known

    def _message(self, token: Token, priority: int) -> _Message:
        rank = (-priority, next(self._order))
        # A copy: orjson's own bytes keep its buffer of kilobytes alive, for each token that waits.
        raw = bytes(memoryview(encode_token(token)))
        return _Message(rank=rank, raw=raw, published_at=self._clock.now())

    async def _release_parked(self) -> None:
        while self._parked:
            wait = self._parked[0].due - self._clock.monotonic()
            if wait > 0:
                await self._clock.sleep(wait)
                continue
            parked = heapq.heappop(self._parked)
            # Behind what was published meanwhile: a lane's token comes in as a new one.
            parked.message.rank = (parked.message.rank[0], next(self._order))
            self._queues[parked.queue].put(parked.message)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
