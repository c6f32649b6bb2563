"""A session: the life of one consuming channel, and what may still be settled on it.

What a lost session had handed out comes again on the next one, marked `redelivered`.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from aio_pika.abc import AbstractChannel
from aiormq.abc import AbstractChannel as DriverChannel

from common.brokers.rabbitmq import frames
from common.brokers.rabbitmq.connection import CLOSE_WITHIN, FAILURES, driving
from common.brokers.rabbitmq.wire import Wire


class Session:
    """A `Receiver`: deliveries come in as they are read, and are settled straight on the wire."""

    def __init__(
        self,
        wire: Wire,
        opened: AbstractChannel,
        channel: DriverChannel,
        *,
        queue: str,
        arrived: Callable[["RabbitDelivery"], None],
        now: Callable[[], float],
    ) -> None:
        self.ended = asyncio.Event()
        self.channel = channel
        self._wire = wire
        self._opened = opened
        self._queue = queue
        self._arrived = arrived
        self._now = now
        self._delivered = (0, False)  # tag and redelivered, of the message whose content comes
        self._content = frames.Content(0, None, None, None)
        self._body = b""
        opened.close_callbacks.add(lambda *_: self.ended.set())
        # The broker cancels a consumer when its queue was deleted or has moved.
        channel.on_consumer_cancel_callbacks.add(lambda _: self.ended.set())

    def listen(self) -> None:
        """Take the deliveries of the channel; before it consumes, or the driver has the first."""
        self._wire.attach(self.channel.number, self)

    def take(self, kind: int, data: bytes, at: int) -> bool:
        if kind == frames.METHOD:
            return self._take_method(data, at)
        if kind == frames.HEADER:
            self._content, self._body = frames.read_content(data, at), b""
        else:
            self._body += frames.payload(data, at)
        if len(self._body) == self._content.size:
            self._deliver()
        return True

    def lost(self) -> None:
        self.ended.set()

    def ack(self, tag: int) -> None:
        if not self.ended.is_set():
            self._wire.write(frames.ack(self.channel.number, tag))

    def give_back(self, tag: int) -> None:
        # Never `reject`: on a 4.3 quorum queue it counts against the delivery limit.
        if not self.ended.is_set():
            self._wire.write(frames.requeue(self.channel.number, tag))

    async def cancel(self, consumer_tag: str) -> None:
        """Ask for no more. When the broker does not answer, the driver closes the channel."""
        try:
            await self.channel.basic_cancel(consumer_tag)
        except BaseException:
            self.ended.set()
            raise

    async def close(self) -> None:
        """Give back to the broker what was not acked."""
        # From here on nothing is written: a frame behind the channel's close makes the broker close
        # the whole connection, and with it the channels of all other queues.
        self.ended.set()
        with suppress(*FAILURES), driving():
            async with asyncio.timeout(CLOSE_WITHIN):
                await self._opened.close()

    def _take_method(self, data: bytes, at: int) -> bool:
        method = frames.method_of(data, at)
        if method == frames.DELIVER:
            self._delivered = frames.read_delivery(data, at)
            return True
        if method in (frames.CHANNEL_CLOSE, frames.CHANNEL_CLOSE_OK):
            self.ended.set()
            self._wire.detach(self.channel.number)
        return False

    def _deliver(self) -> None:
        if self.ended.is_set():
            return
        tag, redelivered = self._delivered
        content = self._content
        self._arrived(
            RabbitDelivery(
                session=self,
                queue=self._queue,
                tag=tag,
                raw=self._body,
                # A foreign message without a timestamp counts as new: none is dropped for its age.
                published_at=self._now() if content.timestamp is None else content.timestamp,
                priority=content.priority or 0,
                redelivered=redelivered,
            )
        )


@dataclass(slots=True, kw_only=True, eq=False)
class RabbitDelivery:
    session: Session
    queue: str
    tag: int
    raw: bytes
    published_at: float
    priority: int
    redelivered: bool
    _acked: bool = field(default=False, init=False)

    async def ack(self) -> None:
        # A second ack of the same tag would make the broker close the channel.
        if not self._acked:
            self._acked = True
            self.session.ack(self.tag)
