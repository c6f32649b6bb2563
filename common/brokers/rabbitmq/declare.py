"""Making the topology exist, idempotently, whoever comes first.

A refused declaration closes the channel it ran on, so declarations run on channels of their own.
"""

from types import TracebackType
from typing import Self

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from aiormq.abc import AbstractChannel as DriverChannel

from common.brokers.base import Depth
from common.brokers.rabbitmq.topology import (
    Exchange,
    Names,
    Queue,
    QueueKind,
    exchanges,
    standing_queues,
    work_queue,
)

log = structlog.get_logger(__name__)

KINDS: tuple[QueueKind, QueueKind] = ("classic", "quorum")


class DeclareChannel:
    """A channel for declarations; after a refusal the next one gets a new channel."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._channel: AbstractChannel | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._channel is not None and not self._channel.is_closed:
            await self._channel.close()

    async def exchange(self, exchange: Exchange) -> None:
        await (await self._open()).exchange_declare(
            exchange.name,
            exchange_type=exchange.type,
            durable=True,
            arguments=dict(exchange.arguments),
        )

    async def queue(self, queue: Queue) -> bool:
        """Whether the queue now exists with these arguments; False: it exists with others."""
        channel = await self._open()
        try:
            await channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
        except ChannelPreconditionFailed:
            return False
        return True

    async def bind(self, queue: str, exchange: str, key: str) -> None:
        await (await self._open()).queue_bind(queue, exchange, key)

    async def depth(self, queue: str) -> Depth | None:
        channel = await self._open()
        try:
            found = await channel.queue_declare(queue, passive=True)
        except ChannelNotFoundEntity:
            return None
        return Depth(ready=found.message_count or 0, consumers=found.consumer_count or 0)

    async def _open(self) -> DriverChannel:
        if self._channel is None or self._channel.is_closed:
            self._channel = await self._connection.channel(publisher_confirms=False)
        return await self._channel.get_underlay_channel()


async def declare_standing(connection: AbstractConnection, known: Names, kind: QueueKind) -> None:
    """The exchanges, the lanes, the queues for dead and unrouted tokens."""
    async with DeclareChannel(connection) as channel:
        for exchange in exchanges(known):
            await channel.exchange(exchange)
        other = _other(kind)
        for queue, spare in zip(
            standing_queues(known, kind), standing_queues(known, other), strict=True
        ):
            await _declare(channel, {kind: queue, other: spare}, kind)
            await channel.bind(queue.name, queue.name, "")


async def declare_work_queue(
    connection: AbstractConnection, known: Names, queue: str, kind: QueueKind
) -> QueueKind | None:
    """One work queue with its bindings.

    Returns:
        What kind the queue really is: one that exists with the other kind is adopted, because
        nobody may delete what waits in it. None: it exists with arguments that are not ours.
    """
    async with DeclareChannel(connection) as channel:
        specs = {each: work_queue(known, queue, each) for each in KINDS}
        found = await _declare(channel, specs, kind)
        name = known.queue(queue)
        await channel.bind(name, known.jobs, queue)
        await channel.bind(name, known.back, queue)
        return found


async def _declare(
    channel: DeclareChannel, specs: dict[QueueKind, Queue], wanted: QueueKind
) -> QueueKind | None:
    if await channel.queue(specs[wanted]):
        return wanted
    other = _other(wanted)
    found = other if await channel.queue(specs[other]) else None
    log.warning(
        "queue.adopted", queue=specs[wanted].name, wanted=wanted, found=found or "other arguments"
    )
    return found


def _other(kind: QueueKind) -> QueueKind:
    return "quorum" if kind == "classic" else "classic"
