"""One pipelined connection: commands of one event-loop tick travel together, a lone one at once."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import structlog
from redis.asyncio import Connection, ConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError

from common.backoff import Backoff
from common.clock import Clock

log = structlog.get_logger(__name__)

Command = tuple[Any, ...]


class Link:
    """Sends commands in order and matches replies in order, over a connection that it renews.

    What was under way when the connection broke fails with `RedisConnectionError`: it may have
    happened. Who sent it knows whether repeating is safe.
    """

    def __init__(self, url: str, clock: Clock, on_connect: Callable[[], list[Command]]) -> None:
        # Only the connection's own settings are used of the pool: it parses the URL.
        self._pool: Any = ConnectionPool.from_url(
            url, socket_timeout=None, socket_connect_timeout=5, retry=None
        )
        self._clock = clock
        self._on_connect = on_connect
        self._unsent: list[tuple[Command, asyncio.Future[Any]]] = []
        self._unanswered: deque[asyncio.Future[Any]] = deque()
        self._waiting = asyncio.Event()
        self._connection: Connection | None = None
        self._up = asyncio.Event()
        self.down_since: float | None = clock.now()

    async def send(self, *command: Any) -> Any:
        """The reply to one command.

        Raises:
            RedisConnectionError: Not connected, or the connection broke: it may have happened.
            ResponseError: Redis refused it.
        """
        if self._connection is None:
            raise RedisConnectionError("not connected")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._unsent.append((command, future))
        self._waiting.set()
        return await future

    async def up(self) -> None:
        await self._up.wait()

    async def break_off(self) -> None:
        """Give up on a connection that does not answer; `run` makes a new one."""
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)

    async def run(self) -> None:
        """Keep the connection until cancelled."""
        backoff = Backoff(first=0.1, limit=2.0)
        while True:
            try:
                connection = await self._connect()
            except (RedisError, OSError) as error:
                if self.down_since is None or backoff.attempts == 0:
                    log.warning("store.unreachable", error=str(error))
                    self.down_since = self.down_since or self._clock.now()
                await self._clock.sleep(backoff.next())
                continue
            backoff.reset()
            await self._serve(connection)

    async def _connect(self) -> Connection:
        connection: Any = self._pool.make_connection()  # untyped in redis-py
        await connection.connect()
        try:
            for command in self._on_connect():
                await connection.send_command(*command)
                await connection.read_response()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return cast("Connection", connection)

    async def _serve(self, connection: Connection) -> None:
        self._connection = connection
        self.down_since = None
        self._up.set()
        log.info("store.connected")
        tasks = [
            asyncio.create_task(self._write(connection)),
            asyncio.create_task(self._read(connection)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connection = None
            self.down_since = self._clock.now()
            self._up.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._fail_all(RedisConnectionError("the connection broke"))
            await connection.disconnect(nowait=True)

    async def _write(self, connection: Connection) -> None:
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            batch, self._unsent = self._unsent, []
            self._unanswered.extend(future for _, future in batch)
            packed = connection.pack_commands([command for command, _ in batch])
            await connection.send_packed_command(packed, check_health=False)

    async def _read(self, connection: Connection) -> None:
        while True:
            try:
                reply = await connection.read_response()
            except ResponseError as error:
                self._answer(None, error)
            else:
                self._answer(reply, None)

    def _answer(self, reply: Any, error: ResponseError | None) -> None:
        future = self._unanswered.popleft()
        if future.done():  # its sender has given up
            return
        if error is None:
            future.set_result(reply)
        else:
            future.set_exception(error)

    def _fail_all(self, error: RedisConnectionError) -> None:
        unsent, self._unsent = self._unsent, []
        for future in (*self._unanswered, *(future for _, future in unsent)):
            if not future.done():
                future.set_exception(error)
        self._unanswered.clear()
