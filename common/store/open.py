"""The store at an address: `sqlite:///PATH`, `redis://…` or `rediss://…`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from common.clock import Clock
from common.config.urls import mask_url, scheme, sqlite_path
from common.notifier.base import Notifier
from common.notifier.memory import MemoryNotifier
from common.store.base import JobStore, Timings
from common.store.redis.store import open_redis_store
from common.store.sqlite.store import open_sqlite_store


@asynccontextmanager
async def open_store(
    url: str, namespace: str, clock: Clock, notifier: Notifier, timings: Timings | None = None
) -> AsyncIterator[JobStore]:
    """The store, until the context ends. Redis may come later; a file must be there at once.

    Raises:
        ValueError: Not the address of a store.
        UnusableStoreError: The file cannot be this program's store.
    """
    match scheme(url):
        case "sqlite":
            if not isinstance(notifier, MemoryNotifier):
                raise TypeError("a store within one process tells its watchers there, too")
            async with open_sqlite_store(sqlite_path(url), clock, notifier, timings) as store:
                yield store
        case "redis" | "rediss":
            async with open_redis_store(url, namespace, clock, timings) as store:
                yield store
        case _:
            raise ValueError(f"{mask_url(url)} is no store: write sqlite:///PATH or redis://HOST")
