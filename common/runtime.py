"""What every role holds while it runs. The only place that joins broker, store and notifier."""

import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache

from common.blobs.base import BlobStore
from common.blobs.open import open_blobs
from common.brokers.base import Broker
from common.brokers.open import open_broker
from common.clock import Clock, SystemClock
from common.config.model import Retention, Settings
from common.jobs.endings import RetentionMs
from common.notifier.base import Notifier
from common.notifier.open import open_notifier
from common.store.base import JobStore
from common.store.open import open_store
from common.telemetry.metrics import Metrics


@dataclass(slots=True, kw_only=True, eq=False)
class Runtime:
    """`settings` are replaced as a whole by a reload: who needs one asks when it needs it."""

    settings: Settings
    clock: Clock
    store: JobStore
    broker: Broker
    notifier: Notifier
    blobs: BlobStore | None = None  # None: large things stay in their records
    metrics: Metrics = field(default_factory=Metrics)  # of this process, whatever its roles

    @property
    def retention(self) -> RetentionMs:
        return retention_ms(self.settings.retention)


@lru_cache(maxsize=8)  # asked for at the end of every job; a reload brings other settings
def retention_ms(retention: Retention) -> RetentionMs:
    return RetentionMs(
        answered=round(retention.answered * 1000),
        completed=round(retention.completed * 1000),
        failed=round(retention.failed * 1000),
        dead=round(retention.dead * 1000),
    )


def new_lease(role: str) -> str:
    """A lease id, unique per process start: role, host, pid and chance."""
    host = socket.gethostname().split(".")[0][:24]
    return f"{role}-{host}-{os.getpid()}-{secrets.token_hex(3)}"


@asynccontextmanager
async def open_runtime(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Runtime]:
    """Broker, store, notifier and blobs, by their URLs; all closed when the context ends."""
    clock = clock or SystemClock()
    async with (
        open_notifier(settings.store_url, settings.namespace, clock) as notifier,
        open_store(settings.store_url, settings.namespace, clock, notifier) as store,
        open_broker(
            settings.broker_url,
            namespace=settings.namespace,
            queue_type=settings.queue_type,
            clock=clock,
        ) as broker,
    ):
        yield Runtime(
            settings=settings,
            clock=clock,
            store=store,
            broker=broker,
            notifier=notifier,
            blobs=open_blobs(settings.blob_url),
        )
