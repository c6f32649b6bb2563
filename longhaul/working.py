"""The composition of a worker that runs alone: health and metrics only with a port."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from starlette.types import ASGIApp

from common.routing.rules import Rules
from common.runtime import Runtime, open_runtime
from common.tasks import first_of
from longhaul.assignment import Assignment
from longhaul.screen.ready import OnReady
from longhaul.serving import address_of, listen_on, serving, stop_asked
from workers.remains import clear_dead
from workers.worker import Worker


async def serve_worker(
    assignment: Assignment, on_ready: OnReady, parent_gone: Callable[[], Coroutine[Any, Any, None]]
) -> None:
    """Until SIGTERM or SIGINT, or until its parent is gone; then it drains.

    Raises:
        PortTakenError: Nothing was started.
    """
    settings = assignment.settings
    async with contextlib.AsyncExitStack() as stack:
        listening, app = None, None
        if assignment.port is not None:
            listening = _listening(assignment)
            stack.callback(listening.close)
        runtime = await stack.enter_async_context(open_runtime(settings))
        runtime.metrics.worker_restarts.inc(assignment.restarts)
        runtime.metrics.groups_killed.inc(assignment.groups_killed)
        if listening is not None:
            app = _health_and_metrics(runtime)
        await stack.enter_async_context(background(clear_dead(runtime)))
        worker = Worker(runtime, assignment.lease, Rules(settings), assignment.slots)
        await stack.enter_async_context(background(worker.run()))
        if listening is not None and app is not None:
            await stack.enter_async_context(serving(app, listening))
        on_ready("" if listening is None else address_of(listening))
        await first_of(stop_asked(), parent_gone())
        await worker.drain()


def _listening(assignment: Assignment) -> socket.socket:
    if assignment.listening is not None:
        return socket.socket(fileno=assignment.listening)
    return listen_on(assignment.settings.listen.host, assignment.port or 0)


def _health_and_metrics(runtime: Runtime) -> ASGIApp:
    # Nearly a second to import, and many workers serve nothing.
    from ingress.app import create_worker_app  # noqa: PLC0415 - as said

    return create_worker_app(runtime)


@contextlib.asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run it beside the block; its failure ends the block, the end of the block cancels it."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        yield
        task.cancel()
