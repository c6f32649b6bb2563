"""The notifier that belongs to a store's address."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from common.clock import Clock
from common.config.urls import scheme
from common.notifier.base import Notifier
from common.notifier.memory import MemoryNotifier
from common.notifier.redis import open_redis_notifier


@asynccontextmanager
async def open_notifier(store_url: str, namespace: str, clock: Clock) -> AsyncIterator[Notifier]:
    """Hints go where the store is: through Redis, or within the process for a file."""
    if scheme(store_url) == "sqlite":
        yield MemoryNotifier()
    else:
        async with open_redis_notifier(store_url, namespace, clock) as notifier:
            yield notifier
