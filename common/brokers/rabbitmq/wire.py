"""The stream under a driver's connection, and the frames that go past the driver on it.

The driver opens and closes the connection and its channels, declares, and keeps the heartbeat. On a
channel that a receiver has, the frames of tokens never reach it: they are most of the traffic, and
through its queues and tasks each costs a call several times as much as the rest of its way.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, cast

from aiormq.connection import DEFAULT_PORTS, SSLContextProvider, TransportFactory
from aiormq.exceptions import AMQPConnectionError
from typing_extensions import override
from yarl import URL

from common.brokers.rabbitmq.frames import EMPTY_HEARTBEAT, FRAME, FRAME_END, HEARTBEAT, OVERHEAD

# A broker that sends messages sends no heartbeats, and the driver would take it for a lost one.
SIGN_OF_LIFE_EVERY = 3.0  # seconds


class Receiver(Protocol):
    """Takes frames of one channel. What it raises ends the connection."""

    def take(self, kind: int, data: bytes, at: int) -> bool:
        """A frame whose payload begins at `at`; False: the driver shall have it."""
        ...

    def lost(self) -> None:
        """The connection is gone, nothing more will come."""
        ...


class Wire(asyncio.StreamReaderProtocol):
    def __init__(self, reader: asyncio.StreamReader, now: Callable[[], float]) -> None:
        super().__init__(reader)
        self._now = now
        self._out: asyncio.Transport | None = None
        self._lost = False
        self._receivers: dict[int, Receiver] = {}
        self._rest = b""  # of a frame that has not come whole
        self._foreign = False  # no frames, as the answer to a wrong version: the driver says so
        self._driver_heard_at = now()
        self._writable = asyncio.Event()
        self._writable.set()

    def attach(self, channel: int, receiver: Receiver) -> None:
        """Give a channel's frames to a receiver, until it is detached or the connection is lost.

        Raises:
            ConnectionResetError: It is lost already.
        """
        if self._lost:
            raise ConnectionResetError("the connection to RabbitMQ was lost")
        self._receivers[channel] = receiver

    def detach(self, channel: int) -> None:
        """The channel is closed; its number may be given to another one."""
        self._receivers.pop(channel, None)

    def write(self, data: bytes) -> None:
        """Whole frames; those of one message in one piece. At the end of a connection: nothing."""
        if self._out is not None and not (self._lost or self._out.is_closing()):
            self._out.write(data)

    def abort(self) -> None:
        """End the connection now; what was not sent is lost."""
        if self._out is not None:
            self._out.abort()

    @property
    def full(self) -> bool:
        """Whether the broker does not read what is written: `writable` waits for that."""
        return not self._writable.is_set()

    async def writable(self) -> None:
        await self._writable.wait()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._out = cast("asyncio.Transport", transport)

    @override
    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        at, driver_from, whole = 0, 0, len(data)
        drivers: list[bytes] = []
        while whole - at >= OVERHEAD and not self._foreign:
            kind, channel, length = FRAME.unpack_from(data, at)
            end = at + length + OVERHEAD
            if kind > HEARTBEAT or (end <= whole and data[end - 1] != FRAME_END):
                self._foreign = True
                break
            if end > whole:
                break
            receiver = self._receivers.get(channel)
            if receiver is not None and receiver.take(kind, data, at + FRAME.size):
                drivers.append(data[driver_from:at])
                driver_from = end
            at = end
        if self._foreign:
            at = whole
        drivers.append(data[driver_from:at])
        self._rest = data[at:]
        self._pass_on(b"".join(drivers), others_got_some=len(drivers) > 1)

    def _pass_on(self, data: bytes, *, others_got_some: bool) -> None:
        now = self._now()
        if not data and others_got_some and now > self._driver_heard_at + SIGN_OF_LIFE_EVERY:
            data = EMPTY_HEARTBEAT
        if data:
            self._driver_heard_at = now
            super().data_received(data)

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        self._writable.clear()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        self._writable.set()

    @override
    def eof_received(self) -> bool | None:
        self._lose()
        return super().eof_received()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._lose()
        if exc is not None and not isinstance(exc, OSError):
            # Of a receiver. The driver gives it to whoever waits for anything on this connection.
            exc = ConnectionResetError(f"ended by a frame that nobody expected: {exc!r}")
        super().connection_lost(exc)

    def _lose(self) -> None:
        self._lost = True
        self._writable.set()
        receivers, self._receivers = self._receivers, {}
        for receiver in receivers.values():
            receiver.lost()


class WireFactory(TransportFactory):
    """How the driver gets its stream. For one connection."""

    def __init__(self) -> None:
        self.wire: Wire | None = None

    @override
    async def create(
        self, url: URL, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        tls: SSLContextProvider = kwargs.pop("ssl_context_provider")
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        try:
            transport, self.wire = await loop.create_connection(
                lambda: Wire(reader, loop.time),
                url.host or "localhost",
                url.port or DEFAULT_PORTS[url.scheme],
                ssl=await tls.get_context() if url.scheme == "amqps" else None,
                **kwargs,
            )
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        return reader, asyncio.StreamWriter(transport, self.wire, reader, loop)
