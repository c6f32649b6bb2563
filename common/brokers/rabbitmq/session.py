"""A session: the life of one consuming channel, and what may still be settled on it.

What a lost session had handed out comes again on the next one, marked `redelivered`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as DriverChannel
from aiormq.abc import DeliveredMessage

from common.brokers.rabbitmq.connection import CLOSE_WITHIN, FAILURES

log = structlog.get_logger(__name__)

SETTLE_WITHIN = 5.0  # seconds; an ack is only written: longer means that the connection is stuck


class Session:
    def __init__(self, opened: AbstractChannel, channel: DriverChannel) -> None:
        self.ended = asyncio.Event()
        self.channel = channel
        self._opened = opened
        self._settling = 0
        self._settled = asyncio.Event()
        opened.close_callbacks.add(lambda *_: self.ended.set())
        # The broker cancels a consumer when its queue was deleted or has moved.
        channel.on_consumer_cancel_callbacks.add(lambda _: self.ended.set())

    async def ack(self, delivery_tag: int) -> None:
        await self._settle(self.channel.basic_ack, delivery_tag)

    async def give_back(self, delivery_tag: int) -> None:
        # Never `reject`: on a 4.3 quorum queue it counts against the delivery limit.
        await self._settle(self.channel.basic_nack, delivery_tag)

    async def close(self) -> None:
        """Give back to the broker what was not acked."""
        self.ended.set()
        with suppress(*FAILURES):
            async with asyncio.timeout(CLOSE_WITHIN):
                # A frame behind the channel's close makes the broker close the whole connection,
                # and with it the channels of all other queues.
                while self._settling:
                    self._settled.clear()
                    await self._settled.wait()
                await self._opened.close()

    async def _settle(self, send: Callable[..., Awaitable[None]], delivery_tag: int) -> None:
        if self.ended.is_set():
            return
        self._settling += 1
        try:
            if self.channel.connection.write_queue.full():
                async with asyncio.timeout(SETTLE_WITHIN):
                    await send(delivery_tag, wait=False)
            else:  # without a timer: the driver takes it at once
                await send(delivery_tag, wait=False)
        except FAILURES as error:
            log.debug("delivery.not_settled", reason=str(error))
        finally:
            self._settling -= 1
            self._settled.set()


class RabbitDelivery:
    __slots__ = ("_acked", "_message", "_received_at", "queue", "session")

    def __init__(
        self, queue: str, message: DeliveredMessage, session: Session, received_at: float
    ) -> None:
        self.queue = queue
        self.session = session
        self._message = message
        self._received_at = received_at
        self._acked = False

    @property
    def tag(self) -> int:
        return self._message.delivery_tag or 0

    @property
    def raw(self) -> bytes:
        return self._message.body

    @property
    def published_at(self) -> float:
        # A foreign message without a timestamp counts as new: nothing is dropped for its age.
        stamp = self._message.header.properties.timestamp
        return stamp.timestamp() if stamp is not None else self._received_at

    @property
    def priority(self) -> int:
        return self._message.header.properties.priority or 0

    @property
    def redelivered(self) -> bool:
        return bool(self._message.redelivered)

    async def ack(self) -> None:
        # A second ack of the same tag would make the broker close the channel.
        if not self._acked:
            self._acked = True
            await self.session.ack(self.tag)
