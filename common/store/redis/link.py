"""One pipelined connection: commands of one event-loop tick travel together, a lone one at once."""

import asyncio
from collections import deque
from typing import Any, cast

import structlog
from redis.asyncio import Connection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError, RedisError

from common.backoff import Backoff
from common.clock import Clock
from common.store.redis.wire import Wire, packed

log = structlog.get_logger(__name__)

CONNECT_WITHIN = 5.0  # seconds
RECONNECT_EVERY = 1.0  # at most: a lease is left for the beat after an outage that nobody noticed
ANSWER_WITHIN = 5.0  # seconds, repetitions included


class Link:
    """Sends commands in order and matches replies in order, over a connection that it renews.

    What was under way when the connection broke fails with `RedisConnectionError`: it may have
    happened. Who sent it knows whether repeating is safe. A connection whose oldest command has
    waited `ANSWER_WITHIN` is broken off: one timer for all of them, where one for each would cost
    as much as to send it.
    """

    def __init__(self, url: str, clock: Clock) -> None:
        # Only the connection's own settings are used of the pool: it parses the URL.
        self._pool: Any = ConnectionPool.from_url(url, socket_timeout=None, retry=None)
        self._clock = clock
        self._unsent: list[bytes] = []
        self._unanswered: deque[tuple[asyncio.Future[Any], float]] = deque()  # and its latest time
        self._alarm: asyncio.TimerHandle | None = None
        self._wire: Wire | None = None
        self._up = asyncio.Event()
        self.down_since: float | None = clock.now()

    async def send(self, *command: Any) -> Any:
        """The reply to one command.

        Raises:
            RedisConnectionError: Not connected, or the connection broke: it may have happened.
            ResponseError: Redis refused it.
        """
        if self._wire is None:
            raise RedisConnectionError("not connected")
        loop = asyncio.get_running_loop()
        if not self._unsent:
            loop.call_soon(self._flush)
        self._unsent.append(packed(command))
        future: asyncio.Future[Any] = loop.create_future()
        latest = loop.time() + ANSWER_WITHIN
        self._unanswered.append((future, latest))
        if self._alarm is None:
            self._alarm = loop.call_at(latest, self._look)
        return await future

    async def up(self) -> None:
        await self._up.wait()

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        backoff = Backoff(first=0.1, limit=RECONNECT_EVERY)
        while True:
            try:
                async with asyncio.timeout(CONNECT_WITHIN):
                    connection = await self._connect()
            except (RedisError, OSError) as error:
                if self.down_since is None or backoff.attempts == 0:
                    log.warning("store.unreachable", error=str(error) or "no answer")
                    self.down_since = self.down_since or self._clock.now()
                await self._clock.sleep(backoff.next())
                continue
            backoff.reset()
            await self._serve(connection)

    async def _connect(self) -> Connection:
        connection: Any = self._pool.make_connection()  # untyped in redis-py
        await connection.connect()
        return cast("Connection", connection)

    async def _serve(self, connection: Connection) -> None:
        self._wire = wire = Wire(connection, self._answer)
        self.down_since = None
        self._up.set()
        log.info("store.connected")
        try:
            await wire.lost.wait()
        finally:
            self._wire = None
            self.down_since = self._clock.now()
            self._up.clear()
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None
            self._fail_all(RedisConnectionError("the connection broke"))
            await connection.disconnect(nowait=True)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._wire is not None and unsent:
            self._wire.write(b"".join(unsent))

    def _look(self) -> None:
        """Replies come in order: who waits longest is the first of those that wait."""
        self._alarm = None
        if self._unanswered:
            loop, latest = asyncio.get_running_loop(), self._unanswered[0][1]
            if latest > loop.time():
                self._alarm = loop.call_at(latest, self._look)
            elif self._wire is not None:  # `run` makes a new connection
                self._wire.abort()

    def _answer(self, reply: Any) -> None:
        future, _ = self._unanswered.popleft()
        if future.done():  # its sender has given up
            return
        if isinstance(reply, RedisError):
            future.set_exception(reply)
            if isinstance(reply, ReadOnlyError) and self._wire is not None:
                self._wire.abort()  # a replica now: the address may lead to its successor
        else:
            future.set_result(reply)

    def _fail_all(self, error: RedisConnectionError) -> None:
        self._unsent.clear()
        for future, _ in self._unanswered:
            if not future.done():
                future.set_exception(error)
        self._unanswered.clear()
