"""`longhaul stdio`, put together: find the router, then carry messages until the client goes."""

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from common.clock import SystemClock
from longhaul.bridge.routers import Routers
from longhaul.bridge.stdio import Stdio, protocol_output

if TYPE_CHECKING:
    from longhaul.bridge.relay import Relay

log = structlog.get_logger(__name__)


async def serve_stdio(environ: Mapping[str, str], cwd: Path, *, idle_exit: str) -> None:
    """Until standard input ends.

    Raises:
        CommandError, ConfigError: There is no router, and none could be started; nothing was read.
    """
    output = protocol_output()
    bridge = secrets.token_hex(8)
    routers = Routers(environ, cwd, SystemClock(), idle_exit=idle_exit)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(routers.aclose)
        relay = (await asyncio.gather(asyncio.to_thread(_load), routers.reach()))[0]
        stdio = Stdio(0, output)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stdio.closed.set)
        log.info("bridge.ready", bridge=bridge, pid=os.getpid())
        await relay(stdio, routers, bridge).run()


def _load() -> "type[Relay]":
    """It takes a second to import, in which a router may start."""
    from longhaul.bridge.relay import Relay  # noqa: PLC0415 - as said

    return Relay
