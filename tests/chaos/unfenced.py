"""The control: `python -m tests.chaos.unfenced worker …` is a worker whose claims check nothing.

A run that finds nothing wrong with these workers would find nothing wrong with any.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import uvloop

from common import runtime
from common.jobs.change import Change, Done, Refused
from common.runtime import new_lease
from common.store.base import JobStore
from common.store.open import open_store
from longhaul import succession
from longhaul.assignment import Assignment
from longhaul.main import main
from longhaul.working import serve_worker


class Unfenced:
    """A store as it is, but for claims: whatever the record says, whoever asks may run the job."""

    def __init__(self, store: JobStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(
        self, job_id: str, change: Change, *, version: int, commit_id: str | None = None
    ) -> Done | Refused:
        if change.name == "claimed" and (head := await self._store.get(job_id)) is not None:
            change, version = replace(change, guards=()), head.version
        return await self._store.commit(job_id, change, version=version, commit_id=commit_id)


@asynccontextmanager
async def unfenced(*given: Any) -> AsyncIterator[Any]:
    async with open_store(*given) as store:
        yield Unfenced(store)


def alone(assignment: Assignment, reread: object, hang_ups: object) -> int:
    """The worker without its parent, whose child would be an ordinary one."""
    del reread, hang_ups
    own = assignment.model_copy(update={"lease": new_lease("worker")})
    uvloop.run(serve_worker(own, lambda _: None, for_ever))
    return 0


async def for_ever() -> None:
    await asyncio.Event().wait()


if __name__ == "__main__":
    setattr(runtime, "open_store", unfenced)  # noqa: B010 - what mypy would rightly refuse
    setattr(succession, "supervise", alone)  # noqa: B010 - the same
    sys.argv[0] = "longhaul"
    main()
