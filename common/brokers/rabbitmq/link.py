"""A link: one supervised connection to RabbitMQ.

It connects, stays until the connection is lost, and connects again with backoff, for ever. Made
without aio-pika's robust classes: those loop when the broker cancels a consumer, and stay silent
about what they restored.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from yarl import URL

from common.backoff import Backoff
from common.brokers.base import BrokerError
from common.brokers.rabbitmq.connection import (
    FAILURES,
    Connection,
    close,
    connect,
    driving,
    server_version_text,
    why,
)
from common.clock import Clock

log = structlog.get_logger(__name__)

HEARTBEAT = 10  # seconds: a silent broker is noticed after about three of them
CONNECT_WITHIN = 10.0
BACKOFF_FIRST, BACKOFF_MAX = 0.2, 5.0
# A lost connection is often back within a second; known to be down for longer, nobody waits for it.
GRACE = 1.0


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
        prepare: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> None:
        self.lost_since: float | None = clock.now()  # seconds since the epoch; None while up
        self._url = _with_settings(url, name=f"longhaul {role}")
        self._role = role
        self._clock = clock
        self._prepare = prepare
        self._connection: Connection | None = None
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
    def connection(self) -> Connection | None:
        return self._connection

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        backoff = Backoff(first=BACKOFF_FIRST, limit=BACKOFF_MAX)
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
                    if self._clock.monotonic() - began > BACKOFF_MAX:
                        backoff.reset()
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

    async def up(self) -> Connection:
        """The connection, waiting for it as long as it takes."""
        while self._connection is None:
            await self._change()
        return self._connection

    async def ready(self) -> Connection:
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

    def drop(self, connection: Connection) -> None:
        """Give up a connection that failed its user; a new one is made."""
        if connection is self._connection:
            self._connection = None
            self._down_from = self._clock.monotonic()
            self._ended.set()

    async def _connect(self) -> Connection:
        connection = await connect(self._url)
        try:
            if self._prepare is not None:
                with driving():
                    await self._prepare(connection)
        except BaseException:
            await close(connection)
            raise
        return connection

    async def _hold(self, connection: Connection) -> None:
        ended = self._ended = asyncio.Event()
        connection.close_callbacks.add(lambda *_: ended.set())
        if connection.transport is None or connection.transport.connection.is_closed:
            ended.set()
        self._note_up(connection)
        try:
            await ended.wait()
        finally:
            self._connection = None
            await close(connection)
        self._note_down(None)

    def _note_up(self, connection: Connection) -> None:
        self._connection = connection
        self.lost_since = None
        self._said = False
        self._wake()
        log.info("broker.connected", connection=self._role, version=server_version_text(connection))

    def _note_down(self, error: BaseException | None) -> None:
        if self.lost_since is None:
            self.lost_since = self._clock.now()
            self._down_from = self._clock.monotonic()
        self._reason = why(error) if error is not None else "connection lost"
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


def _with_settings(url: str, *, name: str) -> URL:
    parsed = URL(url)
    settings = {"heartbeat": str(HEARTBEAT), "name": name} | dict(parsed.query)
    return parsed.with_query(settings)
