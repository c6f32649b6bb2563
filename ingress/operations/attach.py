"""Attach: an identical call comes for a job that was let go, instead of starting a second one."""

from dataclasses import dataclass

import structlog

from common.jobs.attaching import attach, attachable
from common.jobs.change import Change, Done, Note
from common.jobs.head import Head
from common.ledger import transact
from common.notifier.hints import JobHint
from common.runtime import Runtime
from ingress.operations.follow import Follower, Watch

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Joined:
    job: str
    given_out: bool  # somebody was told its id; else it would have been cancelled soon
    by_key: bool = False  # it is this very call's job, not an earlier one's


class Attach:
    def __init__(self, runtime: Runtime, follower: Follower) -> None:
        self._runtime = runtime
        self._follower = follower

    async def join(self, job: str, watch: Watch | None) -> Joined | None:
        """The watch follows this job, and nobody cancels it; None when it is not to be had.

        Raises:
            StoreUnreachableError: Nobody knows; it goes on as before, or is kept.
        """
        if watch is not None:
            name = self._follower.bind(watch, job, shared=True)
            await self._runtime.store.note(job, Note(watch=name))
        seen: Head | None = None
        attach_for = round(self._runtime.settings.answering.attach_for * 1000)

        def decide(head: Head) -> Change | None:
            nonlocal seen
            now = round(self._runtime.clock.now() * 1000)
            seen = head if attachable(head, now, attach_for) else None
            return None if seen is None or head.terminal else attach(head)

        answer = await transact(self._runtime.store, job, decide)
        if seen is None or not (seen.terminal or isinstance(answer, Done)):
            return None
        if seen.terminal and watch is not None:
            end = JobHint(kind="state", job=job, state=str(seen.state), version=seen.version)
            watch.tell(end)
        log.info("job.attached", job_id=job, state=str(seen.state))
        return Joined(job, given_out=not seen.cancel_at)
