"""Cancel, and what a lost client means. The record first; the worker hears of it and acts."""

import structlog

from common.jobs.attaching import hand_off
from common.jobs.change import Change, Done
from common.jobs.endings import cancel
from common.jobs.head import Head
from common.ledger import transact
from common.runtime import Runtime

log = structlog.get_logger(__name__)


class Cancel:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def cancel(self, job: str, reason: str) -> bool:
        """Cancelled at once for everybody who looks; False when it had ended already."""

        def decide(head: Head) -> Change | None:
            return None if head.terminal else cancel(head, reason, self._runtime.retention)

        answer = await transact(self._runtime.store, job, decide)
        done = isinstance(answer, Done)
        log.info("job.cancel_asked", job_id=job, reason=reason, done=done)
        return done

    async def hand_off(self, job: str, reason: str) -> Head | None:
        """Its id may be given out: nobody is held for it any more. The head before, if it waits."""
        return await self._let_go(job, reason, None)

    async def abandon(self, job: str, reason: str) -> None:
        """The client closed its stream: cancelled soon, unless somebody comes for the job."""
        await self._let_go(job, reason, self._runtime.settings.answering.abandon_after)

    async def orphan(self, job: str, reason: str) -> None:
        """The client's connection was lost: it goes on, and is cancelled much later."""
        await self._let_go(job, reason, self._runtime.settings.answering.orphan_ttl)

    async def _let_go(self, job: str, reason: str, cancel_after: float | None) -> Head | None:
        seen: Head | None = None

        def decide(head: Head) -> Change | None:
            nonlocal seen
            seen = head
            if head.terminal:
                return None
            if cancel_after is None or head.spec.keep:
                return hand_off(head, reason)
            return hand_off(head, reason, round(cancel_after * 1000))

        await transact(self._runtime.store, job, decide)
        log.info("job.let_go", job_id=job, reason=reason)
        return seen
