"""Repeat: the same caller, idempotency key and call once more is the same job, not a second one."""

import structlog

from common.blobs.calls import whole_call
from common.errors import KeyConflictError
from common.jobs.callbacks import names_another
from common.jobs.change import Note
from common.jobs.head import Head, StoredCall, decode_call
from common.jobs.transitions import CALL
from common.notifier.hints import JobHint
from common.runtime import Runtime
from common.wire import canonical_json
from ingress.operations.attach import Joined
from ingress.operations.call_request import CallRequest
from ingress.operations.follow import Follower, Watch

log = structlog.get_logger(__name__)


class Repeat:
    def __init__(self, runtime: Runtime, follower: Follower) -> None:
        self._store = runtime.store
        self._blobs = runtime.blobs
        self._follower = follower

    async def join(self, job: str, request: CallRequest, watch: Watch | None) -> Joined | None:
        """The watch follows the job that has the request's key; None when it was just removed.

        Raises:
            KeyConflictError: It is the job of another call.
            StoreUnreachableError: Nobody knows; it goes on as before.
        """
        head, raw = await self._store.get(job), await self._store.part(job, CALL)
        if head is None or raw is None:
            return None
        call = await whole_call(self._blobs, head, decode_call(raw))
        if not _is_call_of(head, call, request):
            raise KeyConflictError(
                f"this idempotency key was given with another call, which is job {job}; "
                "nothing was started"
            )
        if watch is not None:
            name = self._follower.bind(watch, job, shared=True)
            await self._store.note(job, Note(watch=name))
            head = await self._store.get(job)  # it may have ended before the watch stood
            if head is None:
                return None
            if head.terminal:
                state = str(head.state)
                watch.tell(JobHint(kind="state", job=job, state=state, version=head.version))
        log.info("job.repeated", job_id=job, request_id=request.request_id, state=str(head.state))
        return Joined(job, given_out=True, by_key=True)


def _is_call_of(head: Head, call: StoredCall, request: CallRequest) -> bool:
    """Tool and arguments, and no other callback: what else came with a call may differ."""
    if head.tool != request.tool or names_another(head, request.callback):
        return False
    return canonical_json(call.arguments or {}) == canonical_json(request.arguments or {})
