"""`longhaul stdio`, put together: find the router, then carry messages until the client goes."""

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path

import structlog

from common.clock import SystemClock
from longhaul.bridge.relay import Relay
from longhaul.bridge.routers import Routers
from longhaul.bridge.stdio import Stdio, protocol_output
from longhaul.bridge.wire import Wire

log = structlog.get_logger(__name__)


async def serve_stdio(environ: Mapping[str, str], cwd: Path, *, idle_exit: str) -> None:
    """Until standard input ends.

    Raises:
        CommandError, ConfigError: There is no router, and none could be started; nothing was read.
    """
    output = protocol_output()
    clock, bridge = SystemClock(), secrets.token_hex(8)
    routers, wire = Routers(environ, cwd, clock, idle_exit=idle_exit), Wire(bridge)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(wire.aclose)
        stack.push_async_callback(routers.aclose)
        await routers.reach()
        stdio = Stdio(0, output)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stdio.closed.set)
        log.info("bridge.ready", bridge=bridge, pid=os.getpid())
        await Relay(stdio, routers, wire, clock).run()
