"""Afterwards: what must still be written once the answer, or the client, is gone.

A handler that is being cancelled cannot wait, so these writes run in tasks of their own. Each is
repeated while the store is away, up to a limit; the record is safe without it, only its end comes
later.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from common.backoff import Backoff
from common.errors import StoreUnreachableError
from common.jobs.change import Note
from common.ledger import ContendedError
from common.runtime import Runtime
from common.tasks import cancel_and_join
from ingress.operations.cancel import Cancel
from ingress.operations.jottings import Jottings

log = structlog.get_logger(__name__)

TRIES = 8  # of one write; each takes up to 5 s while the store is away
NOTES = 1_000  # "collected" under way; past that they are left out
LAST_CHANCE = 5.0  # seconds for what is under way when the process stops


class Afterwards:
    def __init__(self, runtime: Runtime, cancel: Cancel, jottings: Jottings) -> None:
        self._runtime = runtime
        self._jottings = jottings
        self._cancel = cancel
        self._tasks: set[asyncio.Task[None]] = set()

    def answered(self, job: str) -> None:
        """The result went out on its own response; nothing else knows the job."""
        self._jottings.jot(job, {"answered": 1})

    def collected(self, job: str) -> None:
        """The result of a job that was let go, or a task of it, went out: nobody attaches now."""
        if len(self._tasks) < NOTES:
            self._start(job, partial(self._note_collected, job))

    def cancel(self, job: str, delay: float = 0.0) -> None:
        """A `delay` (seconds) is for a record whose creation may still be under way."""
        self._start(job, partial(self._cancel.cancel, job, "cancelled by the client"), delay)

    def abandon(self, job: str, delay: float = 0.0) -> None:
        self._start(job, partial(self._cancel.abandon, job, "the client closed its stream"), delay)

    def orphan(self, job: str, delay: float = 0.0) -> None:
        lost = partial(self._cancel.orphan, job, "the client's connection was lost")
        self._start(job, lost, delay)

    def hand_off(self, job: str, reason: str, delay: float = 0.0) -> None:
        self._start(job, partial(self._cancel.hand_off, job, reason), delay)

    async def drain(self) -> None:
        """Wait for what is under way; what does not end in time is left to the reconciler."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=LAST_CHANCE)
        await cancel_and_join(*late)

    async def _note_collected(self, job: str) -> None:
        await self._runtime.store.note(job, Note(fields={"collected": 1}))

    def _start(self, job: str, write: Callable[[], Awaitable[object]], delay: float = 0.0) -> None:
        task = asyncio.create_task(self._until_written(job, write, delay))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _until_written(
        self, job: str, write: Callable[[], Awaitable[object]], delay: float
    ) -> None:
        if delay:
            await self._runtime.clock.sleep(delay)
        backoff = Backoff(first=0.2, limit=5.0)
        for _ in range(TRIES):
            try:
                await write()
            except (StoreUnreachableError, ContendedError) as error:
                log.warning("job.afterwards_delayed", job_id=job, error=str(error))
                await self._runtime.clock.sleep(backoff.next())
            else:
                return
        log.error("job.afterwards_lost", job_id=job)
