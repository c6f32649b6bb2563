"""Callbacks as their callers and operators see them: which are owed or given up, and again."""

from dataclasses import replace

import structlog

from common.errors import NoCallbackError
from common.jobs.callbacks import CallbackState, call_back_again
from common.jobs.change import Change
from common.jobs.head import Head
from common.jobs.indexes import callback_index
from common.ledger import transact
from common.runtime import Runtime
from ingress.caller import Caller
from ingress.operations.read import Read
from ingress.operations.search import Found, Walk, find

log = structlog.get_logger(__name__)


class Callbacks:
    def __init__(self, runtime: Runtime, read: Read) -> None:
        self._store = runtime.store
        self._read = read

    async def list(
        self, caller: Caller, state: CallbackState, *, limit: int, cursor: str | None = None
    ) -> Found:
        """Jobs whose callback is in this state, those that came to it last first.

        A page may be short and still have a cursor.
        """
        walk = Walk(indexes=(callback_index(state),))
        if not caller.operator:
            mine = caller.name
            walk = replace(walk, reads=("caller",), passes=lambda head: head["caller"] == mine)
        found = await find(self._store, walk, limit=limit, cursor=cursor)
        # Some have moved on since their index was read.
        return replace(found, heads=[head for head in found.heads if head.callback == state])

    async def replay(self, job: str, caller: Caller) -> Head:
        """Send it again now, with all its tries, under the same message id.

        Raises:
            NotFoundError: Unknown, or somebody else's job.
            NoCallbackError: It names no URL, or has not ended.
        """
        head = await self._read.job_or_batch(job, caller)

        def again(current: Head) -> Change | None:
            if not current.callback:
                why = "has not ended" if current.spec.callback else "names no callback"
                raise NoCallbackError(f"job {job} {why}")
            return call_back_again(current, caller.name)

        await transact(self._store, job, again, head=head)
        log.info("callback.replayed", job_id=job, by=caller.name)
        return await self._read.job_or_batch(job, caller)
