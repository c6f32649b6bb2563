"""`Broker` on RabbitMQ: two links, one for publishing and asking, one for consuming."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Literal

import structlog
from aio_pika.abc import AbstractChannel

from common.brokers.base import BrokerError, Consumer, Depth, lane_for
from common.brokers.rabbitmq.connection import Connection, bounded, server_version
from common.brokers.rabbitmq.consumer import RabbitConsumer
from common.brokers.rabbitmq.declare import DeclareChannel, declare_standing, declare_work_queue
from common.brokers.rabbitmq.link import Link
from common.brokers.rabbitmq.publisher import Publisher, UnroutableError
from common.brokers.rabbitmq.topology import Names, QueueKind, choose_kind
from common.clock import Clock
from common.jobs.token import Token, encode_token

log = structlog.get_logger(__name__)

FIRST_TRY_WITHIN = 2.0  # how long opening waits for the first connection attempt to end
PUBLISH_WITHIN = 10.0
# A broker that confirms nothing (an alarm blocks publishers) costs the next callers less.
PUBLISH_WITHIN_STALLED = 2.0
ASK_WITHIN = 10.0
PUBLISH_ROUNDS = 3  # a queue can be deleted between its declaration and the publish


class RabbitBroker:
    def __init__(
        self,
        url: str,
        *,
        namespace: str,
        queue_type: Literal["auto", "classic", "quorum"],
        clock: Clock,
    ) -> None:
        self._names = Names(namespace=namespace)
        self._queue_type: Literal["auto", "classic", "quorum"] = queue_type
        self._clock = clock
        self._publishing = Link(url, role="publish", clock=clock, prepare=self._prepare)
        self._consuming = Link(url, role="consume", clock=clock)
        self._publisher = Publisher(self._publishing, clock)
        self._declared: set[str] = set()
        self._declaring = asyncio.Lock()
        self._renewals = 0  # of a topology that somebody deleted
        self._stalled_since: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._consumes = False

    async def start(self) -> None:
        """Begin to connect; returns when connected, or when the first attempt has failed."""
        self._spawn(self._publishing.run(), "broker.publish-link")
        await self._publishing.tried(FIRST_TRY_WITHIN)

    async def declare(self, queue: str) -> None:
        if queue in self._declared:
            return
        async with bounded(ASK_WITHIN, f"declare queue {queue}"), self._declaring:
            if queue not in self._declared:
                connection = await self._publishing.ready()
                await declare_work_queue(connection, self._names, queue, self._kind(connection))
                self._declared.add(queue)

    async def publish(self, queue: str, token: Token, priority: int) -> None:
        await self._send(self._names.jobs, queue, token, priority)

    async def park(self, queue: str, token: Token, priority: int, delay: float) -> None:
        await self._send(self._names.lane(lane_for(delay)), queue, token, priority)

    @asynccontextmanager
    async def consume(self, queue: str, slots: int) -> AsyncIterator[Consumer]:
        if not self._consumes:
            self._consumes = True
            self._spawn(self._consuming.run(), "broker.consume-link")
        consumer = RabbitConsumer(
            self._consuming,
            names=self._names,
            queue=queue,
            slots=slots,
            choose=self._kind,
            clock=self._clock,
        )
        serving = self._spawn(consumer.run(), f"broker.consume.{queue}")
        try:
            yield consumer
        finally:
            serving.cancel()
            # Not gathered: when this task is cancelled too, the channel is still closed in order.
            await asyncio.wait({serving})

    async def depth(self, queue: str) -> Depth | None:
        async with bounded(ASK_WITHIN, f"depth of queue {queue}"):
            connection = await self._publishing.ready()
            async with DeclareChannel(connection) as channel:
                return await channel.depth(self._names.queue(queue))

    async def drain(self, limit: int, handle: Callable[[str, bytes], Awaitable[None]]) -> int:
        taken = 0
        async with AsyncExitStack() as after:
            async with bounded(ASK_WITHIN, "open a channel"):
                connection = await self._publishing.ready()
                opened = await connection.channel(publisher_confirms=False)
                # Here, as the block may still raise. It gives back what `handle` did not keep.
                after.push_async_callback(_close, opened)
                channel = await opened.get_underlay_channel()
            for name in (self._names.dead, self._names.unrouted):
                while taken < limit:
                    async with bounded(ASK_WITHIN, f"read {name}"):
                        message = await channel.basic_get(name)
                    if message.delivery_tag is None:
                        break
                    await handle(message.routing_key or "", message.body)
                    async with bounded(ASK_WITHIN, f"release a message of {name}"):
                        await channel.basic_ack(message.delivery_tag)
                    taken += 1
        return taken

    @property
    def unreachable_since(self) -> float | None:
        return self._publishing.lost_since or self._stalled_since

    async def aclose(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _send(self, exchange: str, queue: str, token: Token, priority: int) -> None:
        within = PUBLISH_WITHIN if self._stalled_since is None else PUBLISH_WITHIN_STALLED
        try:
            async with asyncio.timeout(within):
                await self._send_declared(exchange, queue, token, priority)
        except TimeoutError as error:
            self._stalled_since = self._stalled_since or self._clock.now()
            raise BrokerError(f"publish to {queue}: not confirmed within {within:g} s") from error
        self._stalled_since = None

    async def _send_declared(self, exchange: str, queue: str, token: Token, priority: int) -> None:
        body = encode_token(token)
        for _ in range(PUBLISH_ROUNDS):
            renewals = self._renewals
            await self.declare(queue)
            try:
                await self._publisher.publish(
                    exchange, queue, body, message_id=token.job, priority=priority
                )
            except UnroutableError:
                await self._renew(queue, renewals)
            else:
                return
        raise BrokerError(f"publish to {queue}: the queue keeps vanishing")

    async def _renew(self, queue: str, renewals: int) -> None:
        """A queue or a lane is gone: make it exist again, once for all who noticed."""
        with suppress(BrokerError):  # the next round says whether it helped
            async with bounded(ASK_WITHIN, "declare lanes"), self._declaring:
                if self._renewals == renewals:
                    self._declared.discard(queue)
                    connection = await self._publishing.ready()
                    await declare_standing(connection, self._names, self._kind(connection))
                    self._renewals += 1

    async def _prepare(self, connection: Connection) -> None:
        # The broker may have come back without its data, or as another version.
        self._declared.clear()
        await declare_standing(connection, self._names, self._kind(connection))
        self._stalled_since = None  # what confirmed nothing was the connection that is gone

    def _kind(self, connection: Connection) -> QueueKind:
        return choose_kind(self._queue_type, server_version(connection))

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("broker.task_failed", task=task.get_name(), exc_info=error)


async def _close(channel: AbstractChannel) -> None:
    with suppress(BrokerError):
        async with bounded(ASK_WITHIN, "close a channel"):
            await channel.close()


@asynccontextmanager
async def open_rabbit(
    url: str,
    *,
    namespace: str,
    queue_type: Literal["auto", "classic", "quorum"],
    clock: Clock,
) -> AsyncIterator[RabbitBroker]:
    """A broker that is down is tried in the background; `unreachable_since` tells."""
    broker = RabbitBroker(url, namespace=namespace, queue_type=queue_type, clock=clock)
    try:
        await broker.start()
        yield broker
    finally:
        await broker.aclose()
