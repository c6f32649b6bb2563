"""`RedisNotifier`: pub/sub, one connection per process for listening; a lost one leaves a `Gap`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from common.backoff import Backoff
from common.clock import Clock
from common.notifier.base import Gap, Hint, Notifier
from common.store.redis.wire import Wire, packed
from common.tasks import cancel_and_join

log = structlog.get_logger(__name__)

BUFFERED = 100_000  # hints kept for a slow listener; past that they are dropped, and a Gap says so
PATIENCE = 5.0  # seconds for a connection, or for a hint to be taken
PING_EVERY = 10.0  # seconds of silence after which the connection is tried


class RedisNotifier:
    def __init__(self, url: str, namespace: str, clock: Clock) -> None:
        # Without a socket_timeout: redis-py keeps one by asyncio.wait_for, which on Python 3.11
        # loses a cancel that comes in the moment of success.
        self._redis = Redis.from_url(url, socket_timeout=None)
        self._prefix = f"{namespace}:"
        self._clock = clock

    async def publish(self, channel: str, payload: bytes) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._redis.publish(self._prefix + channel, payload)
        except (RedisError, OSError) as error:
            log.warning("hint.lost", channel=channel, error=str(error) or "no answer")

    @asynccontextmanager
    async def listen(self, channels: Sequence[str]) -> AsyncIterator[AsyncIterator[Hint | Gap]]:
        buffer: asyncio.Queue[Hint | Gap] = asyncio.Queue(BUFFERED)
        standing = asyncio.Event()
        listener = asyncio.create_task(self._listen(channels, buffer, standing))
        try:
            await standing.wait()
            yield _drain(buffer)
        finally:
            await cancel_and_join(listener)

    async def _listen(
        self, channels: Sequence[str], buffer: asyncio.Queue[Hint | Gap], standing: asyncio.Event
    ) -> None:
        backoff = Backoff(first=0.1, limit=2.0)
        pool: Any = self._redis.connection_pool  # untyped in redis-py
        while True:
            connection = pool.make_connection()
            try:
                async with asyncio.timeout(PATIENCE):
                    await connection.connect()
                hearing = _Hearing(self._prefix, buffer, standing)
                await hearing.run(Wire(connection, hearing.hear, hearing.hear), channels)
                backoff.reset()
                log.warning("hints.lost_connection")
            except (RedisError, OSError) as error:
                log.warning("hints.lost_connection", error=str(error) or "no answer")
            finally:
                await connection.disconnect(nowait=True)
            await self._clock.sleep(backoff.next())

    async def aclose(self) -> None:
        await self._redis.aclose()


class _Hearing:
    """One connection's life."""

    def __init__(
        self, prefix: str, buffer: asyncio.Queue[Hint | Gap], standing: asyncio.Event
    ) -> None:
        self._prefix = prefix
        self._buffer = buffer
        self._standing = standing
        self._heard = False
        self._refused: RedisError | None = None

    async def run(self, wire: Wire, channels: Sequence[str]) -> None:
        """Until the connection is lost, or says nothing to a ping.

        Raises:
            RedisError: The subscription was refused.
        """
        wire.write(packed(("SUBSCRIBE", *(self._prefix + channel for channel in channels))))
        asked = False
        while not wire.lost.is_set():
            self._heard = False
            try:
                async with asyncio.timeout(PING_EVERY):
                    await wire.lost.wait()
            except TimeoutError:
                if self._refused is not None:
                    raise self._refused from None
                if asked and not self._heard:
                    wire.abort()
                elif not self._heard:
                    wire.write(packed(("PING",)))
                asked = not self._heard

    def hear(self, said: Any) -> None:
        """What comes: [kind, channel, payload], or the answer to a ping."""
        self._heard = True
        match said:
            case RedisError():
                self._refused = said
            case [b"subscribe", *_]:
                _offer(self._buffer, Gap())
                self._standing.set()
            case [b"message", channel, payload]:
                _offer(self._buffer, Hint(channel.decode().removeprefix(self._prefix), payload))


def _offer(buffer: asyncio.Queue[Hint | Gap], item: Hint | Gap) -> None:
    if buffer.full():
        while not buffer.empty():
            buffer.get_nowait()
        item = Gap()
    buffer.put_nowait(item)


async def _drain(buffer: asyncio.Queue[Hint | Gap]) -> AsyncIterator[Hint | Gap]:
    while True:
        yield await buffer.get()


@asynccontextmanager
async def open_redis_notifier(url: str, namespace: str, clock: Clock) -> AsyncIterator[Notifier]:
    notifier = RedisNotifier(url, namespace, clock)
    try:
        yield notifier
    finally:
        await notifier.aclose()
