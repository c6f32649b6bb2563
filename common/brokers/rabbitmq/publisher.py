"""Publishing: one confirm channel, many messages in flight, each awaited on its own."""

import asyncio
from collections import Counter
from copy import copy
from itertools import takewhile

from common.brokers.base import BrokerError
from common.brokers.rabbitmq import frames
from common.brokers.rabbitmq.connection import FAILURES, Connection, driving
from common.brokers.rabbitmq.link import Link
from common.brokers.rabbitmq.wire import Wire
from common.clock import Clock

NOT_FOUND = 404  # the code of a channel that was closed because an exchange is gone


class UnroutableError(Exception):
    """No queue hangs on the exchange under this key: it was deleted behind our back."""


class ExchangeGoneError(Exception):
    """It was deleted behind our back, and the channel ended with it."""


class ConfirmChannel:
    """A channel in confirm mode: what went out on it and is not confirmed yet. A `Receiver`."""

    def __init__(self, wire: Wire, number: int, frame_max: int) -> None:
        self.closed = False
        self._wire = wire
        self._number = number
        self._frame_max = frame_max
        self._published = 0  # the broker counts along: this is the tag that it will confirm
        self._unconfirmed: dict[int, tuple[str, asyncio.Future[None]]] = {}
        # Message ids. A message that is returned is confirmed all the same, behind its return.
        self._returned: Counter[str] = Counter()
        wire.attach(number, self)

    async def publish(
        self, exchange: str, key: str, body: bytes, *, message_id: str, priority: int, at: float
    ) -> None:
        """Return when the broker has confirmed.

        Raises:
            UnroutableError: No queue took it.
            ExchangeGoneError: The channel was closed for it.
            BrokerError: Refused.
            ConnectionError: Lost before the confirm.
        """
        while self._wire.full:
            await self._wire.writable()
        if self.closed:
            raise ConnectionResetError("closed before it could be written")
        message = frames.publication(
            self._number,
            exchange=exchange,
            key=key,
            body=body,
            message_id=message_id,
            priority=priority,
            timestamp=int(at),
            frame_max=self._frame_max,
        )
        self._wire.write(message)
        self._published += 1
        confirmed = asyncio.get_running_loop().create_future()
        self._unconfirmed[self._published] = message_id, confirmed
        await confirmed

    def take(self, kind: int, data: bytes, at: int) -> bool:
        if kind != frames.METHOD:  # of a message that is returned
            if kind == frames.HEADER:
                self._returned[frames.read_content(data, at).message_id or ""] += 1
            return True
        match frames.method_of(data, at):
            case frames.ACK:
                self._settle(*frames.read_settled(data, at), None)
            case frames.NACK:
                refused = BrokerError("the broker refused a token")
                self._settle(*frames.read_settled(data, at), refused)
            case frames.RETURN:
                pass  # its header says which
            case frames.CHANNEL_CLOSE:
                self._close(_why_closed(*frames.read_close(data, at)))
                return False
            case _:
                return False
        return True

    def lost(self) -> None:
        self._close(ConnectionResetError("the connection to RabbitMQ was lost"))

    def _settle(self, tag: int, multiple: bool, error: Exception | None) -> None:
        tags = list(takewhile(lambda each: each <= tag, self._unconfirmed)) if multiple else (tag,)
        for each in tags:
            message_id, confirmed = self._unconfirmed.pop(each)
            came_back = self._returned and self._forget_return(message_id)
            _end(confirmed, UnroutableError("no queue takes it") if came_back else error)

    def _forget_return(self, message_id: str) -> bool:
        """Whether there was one. The same token may be out twice, and come back twice."""
        count = self._returned.pop(message_id, 0)
        if count > 1:
            self._returned[message_id] = count - 1
        return count > 0

    def _close(self, error: Exception) -> None:
        self.closed = True
        self._wire.detach(self._number)
        for _, confirmed in self._unconfirmed.values():
            _end(confirmed, error)
        self._unconfirmed.clear()


class Publisher:
    def __init__(self, link: Link, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self._channel: ConfirmChannel | None = None
        self._opened_on: Connection | None = None
        self._opening = asyncio.Lock()

    async def publish(
        self, exchange: str, key: str, body: bytes, *, message_id: str, priority: int
    ) -> None:
        """Return when the broker has confirmed; a lost connection is waited out and it is repeated.

        A publish that met a lost connection may have been taken: repeating makes a duplicate token,
        which is harmless. The caller bounds the time.

        Raises:
            UnroutableError: Nothing took it; declare, then publish again.
            BrokerError: Refused, or the broker is down for longer than the link's grace.
        """
        now = self._clock.now()
        while True:
            connection = await self._link.ready()
            try:
                channel = self._usable(connection) or await self._open_channel(connection)
                await channel.publish(
                    exchange, key, body, message_id=message_id, priority=priority, at=now
                )
            except (ExchangeGoneError, *FAILURES):
                # A new connection declares everything again.
                self._link.drop(connection)
            else:
                return

    async def _open_channel(self, connection: Connection) -> ConfirmChannel:
        async with self._opening:
            if channel := self._usable(connection):
                return channel
            with driving():
                opened = await connection.channel(publisher_confirms=True)
                driven = await opened.get_underlay_channel()
            channel = ConfirmChannel(connection.wire, driven.number, connection.frame_max)
            self._channel, self._opened_on = channel, connection
            return channel

    def _usable(self, connection: Connection) -> ConfirmChannel | None:
        channel = self._channel
        if channel is None or channel.closed or self._opened_on is not connection:
            return None
        return channel


def _why_closed(code: int, text: str) -> Exception:
    if code == NOT_FOUND:
        return ExchangeGoneError(text)
    return BrokerError(f"the broker refused a token: {text}")


def _end(confirmed: asyncio.Future[None], error: Exception | None) -> None:
    if confirmed.done():  # nobody waits any more
        return
    if error is None:
        confirmed.set_result(None)
    else:
        confirmed.set_exception(copy(error))  # each its own: it gets a traceback where it is raised
