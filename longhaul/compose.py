"""The composition of roles: which parts run in this process, and in which order they stop."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import structlog

from common.config.model import Settings
from common.config.urls import scheme
from common.reconciler import Reconciler
from common.recovery import publish_waiting, release_predecessors
from common.routing.rules import Rules
from common.runtime import Runtime, new_lease, open_runtime
from ingress.app import create_app, create_worker_app
from ingress.ingress import build_ingress
from longhaul.datafolder import HeldLock, hold, secret_of
from longhaul.idle import Visitors, until_idle
from longhaul.serving import address_of, listen_on, serving, stop_asked
from workers.backends.groups import kill_groups, owners
from workers.worker import Worker

log = structlog.get_logger(__name__)

OnReady = Callable[[str], None]


class RoleError(Exception):
    """This role cannot run with these settings; the text says what to change."""


async def serve_up(
    settings: Settings,
    on_ready: OnReady,
    *,
    any_port: bool = False,
    idle_exit: float | None = None,
) -> None:
    """Ingress and worker in one process, until SIGTERM or SIGINT.

    `on_ready` hears the address once it is served. With `any_port` a port that is taken is no
    error; after `idle_exit` seconds without a request and without a job it ends by itself.

    Raises:
        PortTakenError, DataFolderError: Nothing was started.
    """
    wanted = settings.listen
    with contextlib.closing(listen_on(wanted.host, wanted.port, or_any=any_port)) as listening:
        async with _alone_on_the_folder(settings) as lock, open_runtime(settings) as runtime:
            rules = Rules(settings)
            await _recover(runtime, lock)
            worker = Worker(runtime, new_lease("worker"), rules, slots_of(rules, {}))
            async with background(worker.run()):
                await _serve_ingress(runtime, rules, listening, lock, on_ready, idle_exit)


async def serve_ingress(settings: Settings, on_ready: OnReady) -> None:
    """The ingress alone; jobs wait for workers elsewhere.

    Raises:
        RoleError, PortTakenError: Nothing was started.
    """
    _needs_shared_servers(settings, "ingress")
    with contextlib.closing(listen_on(settings.listen.host, settings.listen.port)) as listening:
        async with open_runtime(settings) as runtime, background(Reconciler(runtime).run()):
            await _serve_ingress(runtime, Rules(settings), listening, None, on_ready)


async def serve_worker(
    settings: Settings, queues: Mapping[str, int | None], port: int | None, on_ready: OnReady
) -> None:
    """A worker alone, all queues where none is named; health and metrics only with a port.

    Raises:
        RoleError: A named queue carries no backend, or nothing is shared with other processes.
        PortTakenError: Nothing was started.
    """
    _needs_shared_servers(settings, "worker")
    rules = Rules(settings)
    slots = slots_of(rules, queues)
    async with contextlib.AsyncExitStack() as stack:
        listening = None
        if port is not None:
            listening = stack.enter_context(
                contextlib.closing(listen_on(settings.listen.host, port))
            )
        runtime = await stack.enter_async_context(open_runtime(settings))
        worker = Worker(runtime, new_lease("worker"), rules, slots)
        await stack.enter_async_context(background(worker.run()))
        if listening is not None:
            await stack.enter_async_context(serving(create_worker_app(runtime), listening))
        on_ready("" if listening is None else address_of(listening))
        await stop_asked()


def _needs_shared_servers(settings: Settings, role: str) -> None:
    if settings.embedded:
        raise RoleError(
            f"longhaul {role} alone needs a broker and a store that other processes share: set "
            "LONGHAUL_BROKER_URL (amqp://…) and LONGHAUL_STORE_URL (redis://…), "
            "or run everything in one process with longhaul up"
        )


def slots_of(rules: Rules, queues: Mapping[str, int | None]) -> dict[str, int]:
    """Each queue to serve with its slots; every queue of the configuration where none is named."""
    known = rules.queue_backends()
    unknown = sorted(set(queues) - set(known))
    if unknown:
        raise RoleError(
            f"no backend's tools go to queue {', '.join(unknown)}; "
            f"the configuration has: {', '.join(sorted(known)) or 'none'}"
        )
    wanted = queues or dict.fromkeys(known)
    return {queue: slots or rules.slots(queue) for queue, slots in wanted.items()}


async def _serve_ingress(
    runtime: Runtime,
    rules: Rules,
    listening: socket.socket,
    lock: HeldLock | None,
    on_ready: OnReady,
    idle_exit: float | None = None,
) -> None:
    local_key = secrets.token_urlsafe(24) if lock is not None else ""
    ingress = build_ingress(
        runtime,
        new_lease("ingress"),
        rules,
        local_key=local_key,
        secret_key=_secret_of(runtime.settings, lock),
    )
    app = create_app(ingress)
    visitors = Visitors(app, runtime.clock)
    async with background(ingress.run()), app.running(), serving(visitors, listening):
        address = address_of(listening)
        if lock is not None:
            lock.announce(address, local_key)
        log.info("ingress.serving", address=address)
        on_ready(address)
        await _end_asked(runtime, visitors, idle_exit)
        app.stop()
    await ingress.submit.aclose()


def _secret_of(settings: Settings, lock: HeldLock | None) -> str:
    if settings.secret_key:
        return settings.secret_key
    if lock is not None:
        return secret_of(Path(settings.data))
    log.warning("ingress.no_secret_key", help="set LONGHAUL_SECRET_KEY, the same on every ingress")
    return ""


async def _end_asked(runtime: Runtime, visitors: Visitors, idle_exit: float | None) -> None:
    """By a signal, or by nobody needing it any more."""
    waits: list[asyncio.Task[Any]] = [asyncio.create_task(stop_asked())]
    if idle_exit is not None:
        idle = until_idle(visitors, runtime.store, runtime.clock, idle_exit)
        waits.append(asyncio.create_task(idle))
    try:
        done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in waits:
            task.cancel()


@contextlib.asynccontextmanager
async def _alone_on_the_folder(settings: Settings) -> AsyncIterator[HeldLock | None]:
    """The lock of a data folder whose store is a file; roles on Redis take none."""
    if scheme(settings.store_url) != "sqlite":
        yield None
        return
    with hold(Path(settings.data)) as lock:
        yield lock


async def _recover(runtime: Runtime, lock: HeldLock | None) -> None:
    """What only the lock's holder may do: its predecessor's processes and leases end here."""
    if lock is None:
        return
    data = Path(runtime.settings.data)
    for owner in owners(data):
        killed = await asyncio.to_thread(kill_groups, data, owner)
        log.info("replicas.killed", owner=owner, groups=killed)
    await release_predecessors(runtime)
    await publish_waiting(runtime)


@contextlib.asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run it beside the block; its failure ends the block, the end of the block cancels it."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        yield
        task.cancel()
