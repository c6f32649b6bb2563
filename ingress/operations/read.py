"""Read: records as one caller may see them. No writes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from common.errors import NotFoundError
from common.jobs.endings import RESULT
from common.jobs.head import Head
from common.jobs.ids import is_job_id
from common.jobs.indexes import queue_index
from common.runtime import Runtime
from common.store.base import Event
from ingress.caller import Caller
from ingress.operations.search import Found, find
from ingress.operations.wanted import EVERY, Wanted, walk_of

_SCORE = re.compile(r"[0-9]{1,17}(\.[0-9]+)?", re.ASCII)


def is_cursor(text: str) -> bool:
    """Something a page may have given out; it comes back from outside."""
    score, _, job = text.partition(":")
    return _SCORE.fullmatch(score) is not None and is_job_id(job)


class Read:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def head(self, job: str, caller: Caller) -> Head:
        """Raises: NotFoundError: A batch; unknown, expired, somebody else's: the same for all."""
        head = await self.job_or_batch(job, caller)
        if head.is_batch:  # what ends a job would leave its rows behind
            raise NotFoundError(f"no job {job}: it is a batch, at /v1/batches/{job}")
        return head

    async def job_or_batch(self, job: str, caller: Caller) -> Head:
        """Raises: NotFoundError: Unknown, expired, or somebody else's: the same for all."""
        head = await self._runtime.store.get(job) if is_job_id(job) else None
        if head is None or not (caller.operator or head.caller == caller.name):
            raise NotFoundError(f"no job {job}")
        return head

    async def result(self, head: Head) -> bytes | None:
        """The stored result, or the error of a job that has none, as JSON; None before the end."""
        return await self._runtime.store.part(head.id, RESULT)

    async def events(self, head: Head, *, after: int = 0) -> Sequence[Event]:
        """Those kept, with a larger number than this."""
        return await self._runtime.store.events(head.id, after=after)

    async def positions(self, heads: Sequence[Head]) -> Mapping[str, int]:
        """How many jobs start before each that waits in a queue."""
        queues: dict[str, list[str]] = {}
        for head in heads:
            queues.setdefault(head.queue, []).append(head.id)
        found: dict[str, int] = {}
        for queue, jobs in queues.items():
            ranks = await self._runtime.store.ranks(queue_index(queue), jobs)
            found |= {job: at for job, at in zip(jobs, ranks, strict=True) if at is not None}
        return found

    async def list(
        self, caller: Caller, wanted: Wanted = EVERY, *, limit: int, cursor: str | None = None
    ) -> Found:
        """The newest first: by creation, or, of a state, a tool or an error, by their last change.

        A page may be short and still have a cursor.
        """
        if not caller.operator:
            wanted = wanted.of(caller.name)
        walk = walk_of(wanted)
        if walk is None:
            return Found(heads=[], cursor=None)
        found = await find(self._runtime.store, walk, limit=limit, cursor=cursor)
        # Some have moved on since their index was read.
        heads = [head for head in found.heads if wanted.state in {None, head.state}]
        return replace(found, heads=heads)
