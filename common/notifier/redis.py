"""`RedisNotifier`: pub/sub, one connection per process for listening; a lost one leaves a `Gap`."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from common.backoff import Backoff
from common.clock import Clock
from common.notifier.base import Gap, Hint, Notifier

log = structlog.get_logger(__name__)

BUFFERED = 100_000  # hints kept for a slow listener; past that they are dropped, and a Gap says so
PING_EVERY = 10.0  # seconds of silence after which the connection is tried


class RedisNotifier:
    def __init__(self, url: str, namespace: str, clock: Clock) -> None:
        self._redis = Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        self._prefix = f"{namespace}:"
        self._clock = clock

    async def publish(self, channel: str, payload: bytes) -> None:
        try:
            await self._redis.publish(self._prefix + channel, payload)
        except RedisError as error:
            log.warning("hint.lost", channel=channel, error=str(error))

    @asynccontextmanager
    async def listen(self, channels: Sequence[str]) -> AsyncIterator[AsyncIterator[Hint | Gap]]:
        buffer: asyncio.Queue[Hint | Gap] = asyncio.Queue(BUFFERED)
        standing = asyncio.Event()
        listener = asyncio.create_task(self._listen(channels, buffer, standing))
        try:
            await standing.wait()
            yield _drain(buffer)
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    async def _listen(
        self, channels: Sequence[str], buffer: asyncio.Queue[Hint | Gap], standing: asyncio.Event
    ) -> None:
        backoff = Backoff(first=0.1, limit=2.0)
        while True:
            async with self._redis.pubsub() as pubsub:
                try:
                    await pubsub.subscribe(*(self._prefix + channel for channel in channels))
                    backoff.reset()
                    await self._hear(pubsub, buffer, standing)
                except (RedisError, OSError) as error:
                    log.warning("hints.lost_connection", error=str(error))
            await self._clock.sleep(backoff.next())

    async def _hear(
        self, pubsub: PubSub, buffer: asyncio.Queue[Hint | Gap], standing: asyncio.Event
    ) -> None:
        """Until the connection is lost; redis-py re-subscribes by itself, which is a gap, too."""
        while True:
            message = await pubsub.get_message(timeout=PING_EVERY)
            if message is None:
                await pubsub.ping()
            elif message["type"] == "subscribe":
                _offer(buffer, Gap())
                standing.set()
            elif message["type"] == "message":
                channel = message["channel"].decode().removeprefix(self._prefix)
                _offer(buffer, Hint(channel, message["data"]))

    async def aclose(self) -> None:
        await self._redis.aclose()


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
