"""Forgetting: blobs first, then the record, so that nothing is left that nobody knows of.

What a crash leaves between a blob and its record is a stray: found once a day, and deleted.
"""

import random

import structlog

from common.blobs.base import BlobStore
from common.errors import NotFoundError, StoreUnreachableError
from common.jobs.head import Head
from common.jobs.ids import is_job_id
from common.runtime import Runtime

log = structlog.get_logger(__name__)

DAY = 86_400.0  # seconds; also how old a stray must be: younger ones may be on their way
FIRST_LOOK = 3_600.0  # seconds from the start, at most: a process may live for less than a day


async def forget(runtime: Runtime, head: Head) -> bool:
    """Delete the record with everything that is kept of it; False when it has moved on.

    Raises:
        BlobsUnreachableError: The record is still there.
    """
    blobs = runtime.blobs
    if blobs is not None and head.has_blobs:
        current = await runtime.store.get(head.id)
        if current is None or current.version != head.version:
            return False
        async for each in blobs.list(head.id):
            await blobs.delete(each.name)
    return await runtime.store.remove(head.id, version=head.version)


async def look_after_strays(runtime: Runtime) -> None:
    """Once a day, until cancelled."""
    blobs = runtime.blobs
    if blobs is None:
        return
    wait = random.uniform(0, FIRST_LOOK)  # processes that start together look apart
    while True:
        await runtime.clock.sleep(wait)
        wait = DAY
        try:
            count = await delete_strays(runtime, blobs)
        except (StoreUnreachableError, NotFoundError) as error:
            log.info("strays.stay", error=str(error))
        else:
            log.info("strays.deleted", count=count)


async def delete_strays(runtime: Runtime, blobs: BlobStore) -> int:
    """Delete what is older than a day and no record's; how many that were.

    Raises:
        StoreUnreachableError: The rest stays for the next time.
    """
    count = 0
    async for each in blobs.list():
        if runtime.clock.now() - each.changed_at < DAY:
            continue
        if is_job_id(each.job) and await runtime.store.get(each.job) is not None:
            continue
        await blobs.delete(each.name)
        count += 1
    runtime.metrics.strays_deleted.inc(count)
    return count
