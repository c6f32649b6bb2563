"""Remains: what a worker that died has left, its replicas' processes and its lease, and their end.

In this order: a job may start again elsewhere once the lease is gone, and must not meet itself.
"""

import asyncio
from pathlib import Path

import structlog

from common.backoff import Backoff
from common.errors import StoreUnreachableError
from common.runtime import Runtime
from common.store.base import JobStore
from workers.backends.groups import dead_owners, forget, kill_groups

log = structlog.get_logger(__name__)


async def kill_replicas(data: Path, owner: str) -> int:
    """End every process group that a dead owner recorded; how many."""
    killed = await asyncio.to_thread(kill_groups, data, owner)
    log.info("replicas.killed", owner=owner, groups=killed)
    return killed


async def release_lease(data: Path, owner: str, store: JobStore) -> None:
    """Its jobs are due now, and nothing of it is left to look after.

    Raises:
        StoreUnreachableError: It is left to whoever starts next on this data folder.
    """
    await store.release(owner)
    log.info("lease.released", lease=owner)
    await asyncio.to_thread(forget, data, owner)


async def clear_dead(runtime: Runtime) -> None:
    """Clear up after every worker that died on this data folder, however long the store is away."""
    data = Path(runtime.settings.data)
    backoff = Backoff(first=0.2, limit=5.0)
    owners = dead_owners(data)
    for owner in owners:  # all of them: no store is needed for it
        runtime.metrics.groups_killed.inc(await kill_replicas(data, owner))
    for owner in owners:
        while True:
            try:
                await release_lease(data, owner, runtime.store)
            except StoreUnreachableError as error:
                log.warning("lease.not_released", lease=owner, error=str(error))
                await runtime.clock.sleep(backoff.next())
            else:
                break
