"""Cancel, and what a lost client means. The record first; the worker hears of it and acts."""

import structlog

from common.jobs.attaching import hand_off
from common.jobs.change import Change, Done
from common.jobs.endings import cancel, keep
from common.jobs.head import Head
from common.ledger import transact
from common.releasing import ReleaseWindow
from common.runtime import Runtime

log = structlog.get_logger(__name__)


class Cancel:
    def __init__(self, runtime: Runtime, window: ReleaseWindow | None = None) -> None:
        """With a `window` a job that is held takes the place of one that is cancelled."""
        self._runtime = runtime
        self._window = window

    async def cancel(self, job: str, reason: str) -> bool:
        """Cancelled at once for everybody who looks; False when it had ended already."""
        seen: Head | None = None

        def decide(head: Head) -> Change | None:
            nonlocal seen
            seen = head
            return None if head.terminal else cancel(head, reason, self._runtime.retention)

        answer = await transact(self._runtime.store, job, decide)
        done = isinstance(answer, Done)
        if isinstance(answer, Done) and seen is not None and self._window is not None:
            self._window.leave(seen, answer)
        log.info("job.cancel_asked", job_id=job, reason=reason, done=done)
        return done

    async def hand_off(self, job: str, reason: str, *, as_task: bool = False) -> Head | None:
        """Its id may be given out: nobody is held for it any more. The head before, if it waits."""
        seen: Head | None = None

        def decide(head: Head) -> Change | None:
            nonlocal seen
            seen = head
            return None if head.terminal else hand_off(head, reason, as_task=as_task)

        await transact(self._runtime.store, job, decide)
        log.info("job.handed_off", job_id=job, reason=reason)
        if seen is not None:
            self._runtime.metrics.hand_offs.labels(tool=seen.tool).inc()
        return seen

    async def abandon(self, job: str, reason: str) -> None:
        """The client closed its stream: cancelled soon, unless somebody comes for the job."""
        await self._leave_alone(job, reason, self._runtime.settings.answering.abandon_after)

    async def orphan(self, job: str, reason: str) -> None:
        """The client's connection was lost: it goes on, and is cancelled much later."""
        await self._leave_alone(job, reason, self._runtime.settings.answering.orphan_ttl)

    async def _leave_alone(self, job: str, reason: str, cancel_after: float) -> None:
        def decide(head: Head) -> Change | None:
            if not head.terminal:
                after = None if head.spec.keep else round(cancel_after * 1000)
                return hand_off(head, reason, after)
            # It ended while its client left: somebody may still come for the result.
            untold = head.holder and not (head.handed_off or head.answered)
            return keep(head, self._runtime.retention) if untold else None

        await transact(self._runtime.store, job, decide)
        log.info("job.let_go", job_id=job, reason=reason)
