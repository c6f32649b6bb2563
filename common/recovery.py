"""What a start on a data folder of its own does first: its predecessor is gone, and the tokens.

Only for the holder of the data folder's lock: nobody else can be alive on this store then.
"""

from collections.abc import Sequence

import structlog

from common.jobs.change import AtLeast
from common.jobs.head import Head
from common.jobs.indexes import state_index
from common.jobs.state import JobState
from common.publishing import token_of
from common.runtime import Runtime

log = structlog.get_logger(__name__)

PAGE = 500


async def release_predecessors(runtime: Runtime) -> None:
    """Every lease in the store is of a dead process: its jobs are due now."""
    for lease in await runtime.store.leases():
        log.info("lease.released", lease=lease.id)
        await runtime.store.release(lease.id)


async def publish_waiting(runtime: Runtime) -> int:
    """The in-process broker begins empty: every job that waits gets its token again; how many."""
    published = 0
    for state in (JobState.QUEUED, JobState.WAITING):
        cursor: str | None = None
        while True:
            page = await runtime.store.page(
                state_index(state), limit=PAGE, cursor=cursor, newest_first=False
            )
            for head in page.heads:
                await _publish(runtime, head)
            await _note_confirmed(runtime, page.heads)
            published += len(page.heads)
            cursor = page.cursor
            if cursor is None:
                break
    if published:
        log.info("queue.rebuilt", jobs=published)
    return published


async def _publish(runtime: Runtime, head: Head) -> None:
    token = token_of(head, generation=head.generation, version=head.version)
    delay = head.not_before / 1000 - runtime.clock.now()
    if delay > 0:
        await runtime.broker.park(head.queue, token, head.spec.priority, delay)
    else:
        await runtime.broker.publish(head.queue, token, head.spec.priority)


async def _note_confirmed(runtime: Runtime, heads: Sequence[Head]) -> None:
    """Most of them were: a start writes about the others only."""
    fresh = [head for head in heads if head.confirmed < head.generation]
    if fresh:
        notes = {head.id: {"confirmed": AtLeast(head.generation)} for head in fresh}
        await runtime.store.note_many(notes)
