"""Read: records as one caller may see them. No writes."""

import re
from collections.abc import Sequence

from common.errors import NotFoundError
from common.jobs.endings import RESULT
from common.jobs.head import Head
from common.jobs.ids import is_job_id
from common.jobs.indexes import (
    ALL,
    caller_index,
    queue_index,
    state_index,
    tool_state_index,
)
from common.jobs.state import JobState
from common.runtime import Runtime
from common.store.base import Event, Page
from ingress.caller import Caller

SCANNED = 2_000  # records looked at for one page of a filtered list
_CURSOR = re.compile(r"[0-9]{1,17}(\.[0-9]+)?:[0-9a-z]{22}", re.ASCII)


def is_cursor(text: str) -> bool:
    """Something a page may have given out; it comes back from outside."""
    return _CURSOR.fullmatch(text) is not None


class Read:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def head(self, job: str, caller: Caller) -> Head:
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

    async def position(self, head: Head) -> int | None:
        """How many jobs will start before it; None when it does not wait in a queue."""
        if head.state is JobState.HELD and head.not_before:
            return None  # nobody knows what will wait there then
        return await self._runtime.store.rank(queue_index(head.queue), head.id)

    async def list(
        self,
        caller: Caller,
        *,
        limit: int,
        cursor: str | None = None,
        state: JobState | None = None,
        tool: str | None = None,
    ) -> Page:
        """The newest first; by a state alone, the newest in that state first.

        A page may be short and still have a cursor when a filter is set.
        """
        if caller.operator and state is not None:
            index = state_index(state) if tool is None else tool_state_index(tool, state)
            return await self._runtime.store.page(index, limit=limit, cursor=cursor)
        index = ALL if caller.operator else caller_index(caller.name)
        found: list[Head] = []
        scanned = 0
        while True:
            page = await self._runtime.store.page(index, limit=limit, cursor=cursor)
            for head in page.heads:
                if state in {None, head.state} and tool in {None, head.tool}:
                    found.append(head)
                    if len(found) == limit:
                        last = f"{head.created_at}:{head.id}"
                        more = head is not page.heads[-1] or page.cursor is not None
                        return Page(heads=found, cursor=last if more else None)
            cursor = page.cursor
            scanned += limit
            if cursor is None or scanned >= SCANNED:
                return Page(heads=found, cursor=cursor)
