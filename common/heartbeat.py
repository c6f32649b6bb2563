"""Heartbeat: one process's lease in the store, and what the process says of itself with it."""

import os
import socket
from collections.abc import Callable, Mapping
from importlib.metadata import version as installed_version
from typing import Any

import structlog

from common.errors import StoreUnreachableError
from common.runtime import Runtime

log = structlog.get_logger(__name__)

EVERY = 3.0  # seconds
# After a beat that failed, which takes seconds where the store is away. An outage too short for the
# others to take it for one (`Timings.silence_ms`) may have taken most of the lease by then.
AGAIN = 0.5


class Heartbeat:
    """Beats every 3 s until cancelled, then releases the lease: it counts as gone at once."""

    def __init__(self, runtime: Runtime, lease: str, info: Callable[[], Mapping[str, Any]]) -> None:
        self._runtime = runtime
        self._lease = lease
        self._info = info
        self._identity = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": installed_version("mcp-longhaul"),
        }

    async def run(self) -> None:
        try:
            while True:
                pause = EVERY
                try:
                    await self.beat()
                except StoreUnreachableError as error:
                    log.warning("lease.not_refreshed", error=str(error))
                    pause = AGAIN
                await self._runtime.clock.sleep(pause)
        finally:
            await self._release()

    async def beat(self) -> None:
        """Raises: StoreUnreachableError: The lease may lapse; it is tried again soon."""
        await self._runtime.store.beat(self._lease, {**self._identity, **self._info()})

    async def _release(self) -> None:
        try:
            await self._runtime.store.release(self._lease)
        except StoreUnreachableError:
            log.warning("lease.not_released")
