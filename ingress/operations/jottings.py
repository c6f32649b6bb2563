"""Jottings: what is noted of jobs and may come a moment later, so that many go together.

Nothing here decides anything. Lost with the process, a confirmation makes the reconciler publish
once more, which is harmless, and "answered" leaves a record for longer than it had to be kept.
"""

import asyncio
from collections.abc import Mapping

import structlog

from common.backoff import Backoff
from common.errors import StoreUnreachableError
from common.jobs.change import Value
from common.runtime import Runtime

log = structlog.get_logger(__name__)

LATER = 0.05  # seconds; records are looked at for what is noted here after five, at the earliest
MOST = 10_000  # jobs that wait to be noted while the store is away; more are left out
LAST_CHANCE = 5.0  # seconds when the process stops


class Jottings:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: dict[str, Mapping[str, Value]] = {}
        self._writing: asyncio.Task[None] | None = None

    def jot(self, job: str, fields: Mapping[str, Value]) -> None:
        before = self._waiting.get(job)
        if before is None and len(self._waiting) >= MOST:
            return
        self._waiting[job] = fields if before is None else {**before, **fields}
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def aclose(self) -> None:
        """Write what is left, if that goes quickly."""
        writing = self._writing
        if writing is not None:
            await asyncio.wait({writing}, timeout=LAST_CHANCE)
            writing.cancel()

    async def _write(self) -> None:
        backoff = Backoff(first=0.2, limit=5.0)
        while self._waiting:
            await self._runtime.clock.sleep(LATER)
            batch, self._waiting = self._waiting, {}
            try:
                await self._runtime.store.note_many(batch)
            except StoreUnreachableError as error:
                log.warning("jottings.delayed", jobs=len(batch), error=str(error))
                self._waiting = {**batch, **self._waiting}
                await self._runtime.clock.sleep(backoff.next())
            else:
                backoff.reset()
        self._writing = None
