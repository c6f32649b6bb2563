"""Time, injected: nobody else asks the operating system what time it is."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch; for people and for tokens, never for deciding a lease."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow; for measuring."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def pause(self, seconds: float) -> None:
        """`sleep` for code without an event loop."""
        time.sleep(seconds)
