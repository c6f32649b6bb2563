"""Forgetting: blobs first, then the record, so that nothing is left that nobody knows of.

What a crash leaves between a blob and its record, or the entry of a document, is a stray: found
once a day, and deleted. Documents whose time is over go once a minute.
"""

import asyncio
import random

import structlog

from common.blobs.base import BlobStore, Listed, blob_name
from common.documents import is_place
from common.errors import BlobsUnreachableError, NotFoundError, StoreUnreachableError
from common.jobs.head import Head
from common.jobs.ids import is_job_id
from common.jobs.indexes import ended_index, rows_index
from common.jobs.rows import OPEN, stay
from common.runtime import Runtime

log = structlog.get_logger(__name__)

DAY = 86_400.0  # seconds; also how old a stray must be: younger ones may be on their way
MINUTE = 60.0  # seconds
EXPIRED_AT_ONCE = 100
ROWS_AT_ONCE = 2_000  # of a batch, at one look
TOGETHER = 50
FIRST_LOOK = 3_600.0  # seconds from the start, at most: a process may live for less than a day


async def forget(runtime: Runtime, head: Head) -> bool:
    """Delete the record with everything that is kept of it; False when it has moved on.

    Raises:
        BlobsUnreachableError: The record is still there.
    """
    blobs = runtime.blobs
    if head.is_batch and not await _forget_rows(runtime, head):
        return False  # the rest when it is due again
    if blobs is not None and head.has_blobs:
        current = await runtime.store.get(head.id)
        if current is None or current.version != head.version:
            return False
        async for each in blobs.list(head.id):
            await blobs.delete(each.name)
    return await runtime.store.remove(head.id, version=head.version)


async def stays_with_batch(runtime: Runtime, head: Head) -> bool:
    """A row is kept as long as its batch: it is looked at again in a day."""
    if not head.batch or head.is_batch or await runtime.store.get(head.batch) is None:
        return False
    await runtime.store.commit(head.id, stay(head, round(DAY * 1000)), version=head.version)
    return True


async def _forget_rows(runtime: Runtime, batch: Head) -> bool:
    """Some of its rows; True when none is left. The batch itself goes last."""
    for index in (ended_index(batch.id), rows_index(batch.id, OPEN)):
        places = await runtime.store.places(index, limit=ROWS_AT_ONCE, newest_first=False)
        rows = await runtime.store.heads([row for _, row in places])
        there = [row for row in rows if row is not None]
        for start in range(0, len(there), TOGETHER):
            some = there[start : start + TOGETHER]
            await asyncio.gather(*(forget(runtime, row) for row in some))
        if places:
            return False
    return True


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
    """Delete what is older than a day and neither a record's nor a document's; how many they were.

    Raises:
        StoreUnreachableError: The rest stays for the next time.
    """
    count = 0
    async for each in blobs.list():
        if runtime.clock.now() - each.changed_at < DAY or await _is_named(runtime, each):
            continue
        await blobs.delete(each.name)
        count += 1
    runtime.metrics.strays_deleted.inc(count)
    return count


async def _is_named(runtime: Runtime, blob: Listed) -> bool:
    """A no is for good: no place is used twice, and none is named a day after it was filled."""
    holder, _, sha256 = blob.name.partition("/")
    if is_job_id(holder):
        (known,) = await runtime.store.glances([holder], ["id"])  # also of one that nobody can read
        return known is not None
    if not is_place(holder):
        return False
    content = await runtime.store.documents.content(sha256)
    return content is not None and content.place == holder


async def look_after_documents(runtime: Runtime) -> None:
    """Once a minute, until cancelled."""
    if runtime.blobs is None:  # whoever has them looks
        return
    while True:
        await runtime.clock.sleep(MINUTE)
        try:
            await expire_documents(runtime)
        except StoreUnreachableError as error:
            log.info("documents.stay", error=str(error))


async def expire_documents(runtime: Runtime) -> int:
    """Remove the entries whose time is over, and what nobody has any more; how many they were.

    Raises:
        StoreUnreachableError: What is left is found at the next time, or as a stray.
    """
    count, more = 0, True
    while more:
        gone = await runtime.store.documents.expire(EXPIRED_AT_ONCE)
        more = len(gone) == EXPIRED_AT_ONCE
        count += len(gone)
        for each in gone:
            await delete_content(runtime, each.sha256, each.place)
    if count:
        runtime.metrics.documents_expired.inc(count)
        log.info("documents.expired", count=count)
    return count


async def delete_content(runtime: Runtime, sha256: str, place: str) -> None:
    """What was put at this place and nobody names; later, as a stray, if it cannot be done now."""
    if runtime.blobs is None or not place:
        return
    try:
        await runtime.blobs.delete(blob_name(place, sha256))
    except BlobsUnreachableError as error:
        log.info("content.stays", sha256=sha256, error=str(error))
