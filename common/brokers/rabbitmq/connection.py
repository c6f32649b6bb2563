"""A link: one supervised connection to RabbitMQ.

It connects, stays until the connection is lost, and connects again with backoff, for ever. Made
without aio-pika's robust classes: those loop when the broker cancels a consumer, and stay silent
about what they restored.
"""

import asyncio
import logging
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import aio_pika
import structlog
from aio_pika.abc import AbstractConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from yarl import URL

from common.brokers.base import BrokerError
from common.brokers.rabbitmq.topology import Version, parse_version
from common.clock import Clock

log = structlog.get_logger(__name__)

HEARTBEAT = 10  # seconds: a silent broker is noticed after about three of them
CONNECT_WITHIN = 10.0
CLOSE_WITHIN = 2.0
BACKOFF_FIRST, BACKOFF_MAX = 0.2, 5.0
# A lost connection is often back within a second; known to be down for longer, nobody waits for it.
GRACE = 1.0

# What the driver raises when a connection or channel fails under a call.
FAILURES = (*CONNECTION_EXCEPTIONS, TimeoutError)


class Backoff:
    """Growing waits with jitter; begins again after a connection that lasted."""

    def __init__(self) -> None:
        self._wait = BACKOFF_FIRST

    def next(self) -> float:
        wait, self._wait = self._wait, min(self._wait * 2, BACKOFF_MAX)
        return wait * random.uniform(0.5, 1.0)

    def lasted(self, seconds: float) -> None:
        if seconds > BACKOFF_MAX:
            self._wait = BACKOFF_FIRST


class Link:
    """One connection that comes back.

    `prepare` runs on every new connection before anybody else may use it.
    """

    def __init__(
        self,
        url: str,
        *,
        role: str,
        clock: Clock,
        prepare: Callable[[AbstractConnection], Awaitable[None]] | None = None,
    ) -> None:
        self.lost_since: float | None = clock.now()  # seconds since the epoch; None while up
        self._url = _with_settings(url, name=f"longhaul {role}")
        self._role = role
        self._clock = clock
        self._prepare = prepare
        self._connection: AbstractConnection | None = None
        self._changed = asyncio.Event()  # up, down, tried: whoever waits looks again
        self._ended = asyncio.Event()
        self._tried = False
        self._said = False
        self._down_from = clock.monotonic()
        self._reason = "not connected yet"
        # The driver reports every failed try as an error; ours is one line per outage.
        for driver in ("aiormq", "aio_pika"):
            logging.getLogger(driver).setLevel(logging.CRITICAL)

    @property
    def connection(self) -> AbstractConnection | None:
        return self._connection

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        backoff = Backoff()
        try:
            while True:
                try:
                    async with asyncio.timeout(CONNECT_WITHIN):
                        connection = await self._connect()
                except FAILURES as error:
                    self._note_down(error)
                else:
                    began = self._clock.monotonic()
                    await self._hold(connection)
                    backoff.lasted(self._clock.monotonic() - began)
                await self._clock.sleep(backoff.next())
        finally:
            self._reason, self._down_from = "closed", -math.inf
            self._wake()

    async def tried(self, within: float) -> None:
        """Wait until the first attempt has ended, either way, at most `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                while not self._tried:
                    await self._change()

    async def up(self) -> AbstractConnection:
        """The connection, waiting for it as long as it takes."""
        while self._connection is None:
            await self._change()
        return self._connection

    async def ready(self) -> AbstractConnection:
        """The connection, for somebody who cannot wait long.

        Raises:
            BrokerError: Down, and for longer than the grace.
        """
        if self._connection is not None:
            return self._connection
        patience = self._down_from + GRACE - self._clock.monotonic()
        try:
            async with asyncio.timeout(max(0.0, patience)):
                return await self.up()
        except TimeoutError:
            raise BrokerError(f"RabbitMQ is not reachable: {self._reason}") from None

    def drop(self, connection: AbstractConnection) -> None:
        """Give up a connection that failed its user; a new one is made."""
        if connection is self._connection:
            self._connection = None
            self._down_from = self._clock.monotonic()
            self._ended.set()

    async def _connect(self) -> AbstractConnection:
        connection = await connect(self._url)
        try:
            if self._prepare is not None:
                with cancels_kept():
                    await self._prepare(connection)
        except BaseException:
            await _close(connection)
            raise
        return connection

    async def _hold(self, connection: AbstractConnection) -> None:
        ended = self._ended = asyncio.Event()
        connection.close_callbacks.add(lambda *_: ended.set())
        if connection.transport is None or connection.transport.connection.is_closed:
            ended.set()
        self._note_up(connection)
        try:
            await ended.wait()
        finally:
            self._connection = None
            await _close(connection)
        self._note_down(None)

    def _note_up(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self.lost_since = None
        self._said = False
        self._wake()
        log.info("broker.connected", connection=self._role, version=server_version_text(connection))

    def _note_down(self, error: BaseException | None) -> None:
        if self.lost_since is None:
            self.lost_since = self._clock.now()
            self._down_from = self._clock.monotonic()
        self._reason = _why(error) if error is not None else "connection lost"
        if not self._said:
            self._said = True
            log.warning(
                "broker.unreachable",
                connection=self._role,
                host=self._url.host,
                port=self._url.port,
                reason=self._reason,
            )
        self._wake()

    def _wake(self) -> None:
        self._tried = True
        self._changed.set()
        self._changed = asyncio.Event()

    async def _change(self) -> None:
        await self._changed.wait()


@asynccontextmanager
async def bounded(within: float, what: str) -> AsyncIterator[None]:
    """Whatever the driver raises, or an end that does not come, becomes a `BrokerError`."""
    with cancels_kept():
        try:
            async with asyncio.timeout(within):
                yield
        except TimeoutError as error:
            raise BrokerError(f"{what}: no answer within {within:g} s") from error
        except FAILURES as error:
            raise BrokerError(f"{what}: {_why(error)}") from error
        except asyncio.CancelledError as error:
            raise_if_ours(error)
            raise BrokerError(f"{what}: the connection was closed") from error


@contextmanager
def cancels_kept() -> Iterator[None]:
    """A cancel that came while the block ran is raised at its end, whatever the driver made of it.

    The driver waits with `asyncio.wait_for`, which on Python 3.11 loses one that comes in the
    moment of success, and turns others into errors of its own: who was cancelled would go on.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    try:
        yield
    finally:
        if task is not None and task.cancelling() > before:
            raise asyncio.CancelledError


def raise_if_ours(error: asyncio.CancelledError) -> None:
    """The driver cancels whoever waits on a connection that ends: that is a failure, not a cancel.

    Raises:
        CancelledError: Somebody really cancelled this task.
    """
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise error


def server_version_text(connection: AbstractConnection) -> str:
    if connection.transport is None:
        return ""
    version = connection.transport.connection.server_properties.get("version", "")
    return version.decode() if isinstance(version, bytes) else str(version)


def server_version(connection: AbstractConnection) -> Version:
    return parse_version(server_version_text(connection))


def _with_settings(url: str, *, name: str) -> URL:
    parsed = URL(url)
    settings = {"heartbeat": str(HEARTBEAT), "name": name} | dict(parsed.query)
    return parsed.with_query(settings)


def _why(error: BaseException) -> str:
    return str(error) or type(error).__name__


async def connect(url: URL) -> AbstractConnection:
    """As `aio_pika.connect`, which leaves one that never came up to the garbage collector: it would
    be closed then, at a time when there may be no event loop for it.
    """
    connection = aio_pika.Connection(url)
    try:
        with cancels_kept():
            await connection.connect()
    except BaseException:
        await _close(connection)
        raise
    return connection


async def _close(connection: AbstractConnection) -> None:
    with suppress(*FAILURES):
        async with asyncio.timeout(CLOSE_WITHIN):
            await connection.close()
