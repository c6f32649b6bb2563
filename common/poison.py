"""Poison has a home: a token that says nothing becomes a dead letter with its raw bytes."""

import structlog

from common.jobs.endings import bury_token
from common.jobs.ids import new_job_id
from common.runtime import Runtime

log = structlog.get_logger(__name__)


async def bury_raw(runtime: Runtime, queue: str, raw: bytes, why: str) -> None:
    """Store it first; the delivery is acked by who called.

    Raises:
        StoreUnreachableError: It is not stored; the delivery must come again.
    """
    job = new_job_id(round(runtime.clock.now() * 1000))
    change = bury_token(queue, raw, why, runtime.retention)
    await runtime.store.commit(job, change, version=0)
    runtime.metrics.count_letter(change.name)
    log.error("token.buried", job_id=job, queue=queue, why=why)
