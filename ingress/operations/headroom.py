"""Headroom: while the store has little memory left, it is kept for jobs that are there already."""

from common.runtime import Runtime

FULL = 0.8  # of the store's memory limit: no new job above it
FRESH = 1.0  # seconds that one reading serves all submissions
RETRY_AFTER = 30.0  # seconds; retention makes room, or an operator


class Headroom:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._read_at = float("-inf")
        self.used = 0.0  # share of the limit, as last read

    async def lacking(self) -> bool:
        """Whether new jobs are refused now.

        Raises:
            StoreUnreachableError: Nobody knows.
        """
        now = self._runtime.clock.monotonic()
        if now - self._read_at >= FRESH:
            self._read_at = now  # first: who comes meanwhile goes by the older reading
            self.used = await self._runtime.store.fullness()
        return self.used > FULL
