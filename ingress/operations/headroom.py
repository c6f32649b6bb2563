"""Headroom: while the store has little memory left, it is kept for jobs that are there already."""

from contextlib import suppress

from common.errors import StoreUnreachableError
from common.runtime import Runtime

FULL = 0.8  # of the store's memory limit: no new job above it
FRESH = 1.0  # seconds between two readings
RETRY_AFTER = 30.0  # seconds; retention makes room, or an operator


class Headroom:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.used = 0.0  # share of the limit, as last read

    @property
    def lacking(self) -> bool:
        """Whether new jobs are refused now."""
        return self.used > FULL

    async def run(self) -> None:
        """Read until cancelled: beside the submissions, or one would wait for two answers of a
        store that gives none.
        """
        while True:
            with suppress(StoreUnreachableError):  # a submission meets the same, and says so
                self.used = await self._runtime.store.fullness()
            await self._runtime.clock.sleep(FRESH)
