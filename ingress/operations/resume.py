"""Resume: a caller that was sent back comes again for its job. Each way back is used once."""

import structlog

from common.jobs.attaching import come_back, send_back
from common.jobs.change import Change, Done, Note
from common.jobs.head import Head
from common.ledger import transact
from common.notifier.hints import JobHint
from common.runtime import Runtime
from ingress.operations.follow import Follower, Watch

log = structlog.get_logger(__name__)


class Resume:
    def __init__(self, runtime: Runtime, follower: Follower) -> None:
        self._runtime = runtime
        self._follower = follower

    async def send_back(self, job: str, cancel_after: float) -> int | None:
        """Nobody is held for it until its caller comes again; the leg that it must come with.

        None when the job has ended. `cancel_after` (seconds): when nobody comes.
        """
        seen: Head | None = None

        def decide(head: Head) -> Change | None:
            nonlocal seen
            seen = head
            after = None if head.spec.keep else round(cancel_after * 1000)
            return None if head.terminal else send_back(head, after)

        done = await transact(self._runtime.store, job, decide)
        log.info("job.sent_back", job_id=job, done=isinstance(done, Done))
        return seen.leg + 1 if seen is not None and isinstance(done, Done) else None

    async def come_back(self, job: str, leg: int, caller: str, watch: Watch) -> bool:
        """The watch follows the job; False when this way back was used, or leads nowhere.

        Raises:
            StoreUnreachableError: Nobody knows; the way back may be used.
        """
        name = self._follower.bind(watch, job, shared=True)
        await self._runtime.store.note(job, Note(watch=name))

        seen: Head | None = None

        def decide(head: Head) -> Change | None:
            nonlocal seen
            seen = head
            if head.leg != leg or head.caller != caller:
                return None
            return come_back(head, self._runtime.retention)

        done = await transact(self._runtime.store, job, decide)
        if seen is None or not isinstance(done, Done):
            return False
        if seen.terminal:  # before the watch stood
            state = str(seen.state)
            watch.tell(JobHint(kind="state", job=job, state=state, version=done.version))
        return True
