"""A connection to RabbitMQ as the driver makes it, and what is put right about the driver."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import aio_pika
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, ConnectionClosed
from aiormq.abc import ExceptionType
from typing_extensions import override
from yarl import URL

from common.brokers.base import BrokerError
from common.brokers.rabbitmq.topology import Version, parse_version
from common.brokers.rabbitmq.wire import Wire, WireFactory

CLOSE_WITHIN = 2.0  # seconds

# What the driver raises when a connection or channel fails under a call.
FAILURES = (*CONNECTION_EXCEPTIONS, TimeoutError)


class Connection(aio_pika.Connection):
    """The driver's, with the wire under it."""

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        self._wires = self.kwargs["transport_factory"] = WireFactory()

    @property
    def wire(self) -> Wire:
        """Raises: ConnectionResetError: There is none yet."""
        if self._wires.wire is None:
            raise ConnectionResetError("not connected")
        return self._wires.wire

    @override
    async def close(self, exc: ExceptionType | None = ConnectionClosed) -> None:
        """In order, or abruptly when that takes long: a broker that reads nothing takes no goodbye,
        and the driver cannot be told to stop waiting for it.
        """
        giving_up = self.loop.call_later(CLOSE_WITHIN, self._abort)
        try:
            await super().close(exc)
        finally:
            giving_up.cancel()

    def _abort(self) -> None:
        if self._wires.wire is not None:
            self._wires.wire.abort()

    @property
    def frame_max(self) -> int:
        """Bytes; 0: frames may be as long as they like."""
        if self.transport is None:
            raise ConnectionResetError("not connected")
        return self.transport.connection.connection_tune.frame_max


async def connect(url: URL) -> Connection:
    """As `aio_pika.connect`, which leaves one that never came up to the garbage collector: it would
    be closed then, at a time when there may be no event loop for it.
    """
    connection = Connection(url)
    try:
        with driving():
            await connection.connect()
    except BaseException:
        await close(connection)
        raise
    return connection


async def close(connection: Connection) -> None:
    """Whatever comes of it."""
    with suppress(*FAILURES), driving():
        await connection.close()


@asynccontextmanager
async def bounded(within: float, what: str) -> AsyncIterator[None]:
    """Whatever the driver raises, or an end that does not come, becomes a `BrokerError`."""
    try:
        with driving():
            async with asyncio.timeout(within):
                yield
    except TimeoutError as error:
        raise BrokerError(f"{what}: no answer within {within:g} s") from error
    except FAILURES as error:
        raise BrokerError(f"{what}: {why(error)}") from error


@contextmanager
def driving() -> Iterator[None]:
    """Around what the driver waits for: our cancels stay cancels, its own become errors.

    It cancels whoever waits on a connection that ends, or raises a bare `Exception` there. And it
    waits with `asyncio.wait_for`, which on Python 3.11 loses a cancel that comes in the moment of
    success, and turns others into errors of its own: who was cancelled would go on. So one that
    came meanwhile is raised at the end, whatever the driver made of it.

    Raises:
        ConnectionResetError: The connection ended in the meantime.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    try:
        yield
    except asyncio.CancelledError as error:
        if task is None or task.cancelling():
            raise
        raise ConnectionResetError("the connection was closed") from error
    except Exception as error:
        if type(error) is Exception:
            raise ConnectionResetError("the connection was closed") from error
        raise
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


def server_version_text(connection: AbstractConnection) -> str:
    if connection.transport is None:
        return ""
    version = connection.transport.connection.server_properties.get("version", "")
    return version.decode() if isinstance(version, bytes) else str(version)


def server_version(connection: AbstractConnection) -> Version:
    return parse_version(server_version_text(connection))


def why(error: BaseException) -> str:
    return str(error) or type(error).__name__
