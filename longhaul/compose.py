"""The composition of roles: which parts run in this process, and in which order they stop."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import structlog

from common.config.model import Settings
from common.config.urls import scheme
from common.reconciler import Reconciler
from common.recovery import publish_waiting, release_predecessors
from common.routing.rules import Rules
from common.runtime import Runtime, new_lease, open_runtime
from common.tasks import first_of
from common.telemetry.logging import configure_logging
from ingress.app import App, create_app
from ingress.ingress import Ingress, build_ingress
from longhaul.assignment import needs_shared_servers
from longhaul.datafolder import HeldLock, hold, secret_of
from longhaul.idle import Visitors, until_idle
from longhaul.screen.ready import OnReady
from longhaul.serving import address_of, listen_on, serving, stop_asked
from longhaul.shifts import Shifts
from longhaul.unserved import warn_of_unserved
from longhaul.working import background
from workers.remains import clear_dead

log = structlog.get_logger(__name__)


async def serve_up(
    settings: Settings,
    on_ready: OnReady,
    reloads: AsyncIterator[Settings],
    *,
    any_port: bool = False,
    idle_exit: float | None = None,
) -> None:
    """Ingress and worker in one process, until SIGTERM or SIGINT.

    `on_ready` hears the address once it is served; `reloads` are the settings from then on, each
    time that they change. With `any_port` a port that is taken is no error; after `idle_exit`
    seconds without a request and without a job it ends by itself.

    Raises:
        PortTakenError, DataFolderError: Nothing was started.
    """
    wanted = settings.listen
    with contextlib.closing(listen_on(wanted.host, wanted.port, or_any=any_port)) as listening:
        async with _alone_on_the_folder(settings) as lock, open_runtime(settings) as runtime:
            rules = Rules(settings)
            if lock is not None:
                await _recover(runtime)
            shifts = Shifts(runtime, rules)
            async with (
                background(clear_dead(runtime)),
                background(warn_of_unserved(runtime)),
                background(shifts.run()),
            ):
                await _serve_ingress(
                    runtime, rules, listening, lock, on_ready, reloads, idle_exit, shifts
                )


async def serve_ingress(
    settings: Settings, on_ready: OnReady, reloads: AsyncIterator[Settings]
) -> None:
    """The ingress alone; jobs wait for workers elsewhere.

    Raises:
        RoleError, PortTakenError: Nothing was started.
    """
    needs_shared_servers(settings, "ingress")
    with contextlib.closing(listen_on(settings.listen.host, settings.listen.port)) as listening:
        async with open_runtime(settings) as runtime, background(Reconciler(runtime).run()):
            await _serve_ingress(runtime, Rules(settings), listening, None, on_ready, reloads)


async def _serve_ingress(
    runtime: Runtime,
    rules: Rules,
    listening: socket.socket,
    lock: HeldLock | None,
    on_ready: OnReady,
    reloads: AsyncIterator[Settings],
    idle_exit: float | None = None,
    shifts: Shifts | None = None,
) -> None:
    """Until the end is asked for; then who is inside is served, beside what else must end."""
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
    async with (
        background(ingress.run()),
        background(_heed(reloads, ingress, app, shifts)),
        app.running(),
        serving(visitors, listening),
    ):
        address = address_of(listening)
        if lock is not None:
            lock.announce(address, local_key)
        log.info("ingress.serving", address=address)
        on_ready(address)
        await _end_asked(runtime, visitors, idle_exit)
        async with asyncio.TaskGroup() as ends:
            ends.create_task(app.drain(runtime.settings.drain))
            if shifts is not None:
                ends.create_task(shifts.drain())
    await ingress.submit.aclose()


async def _heed(
    reloads: AsyncIterator[Settings], ingress: Ingress, app: App, shifts: Shifts | None
) -> None:
    """Until cancelled. What may change is what everybody asks for from then on."""
    async for settings in reloads:
        configure_logging(settings)
        ingress.adopt(settings)
        app.admission.adopt(settings.listen)
        if shifts is not None:
            shifts.relieve()


def _secret_of(settings: Settings, lock: HeldLock | None) -> str:
    if settings.secret_key:
        return settings.secret_key
    if lock is not None:
        return secret_of(Path(settings.data))
    log.warning("ingress.no_secret_key", help="set LONGHAUL_SECRET_KEY, the same on every ingress")
    return ""


async def _end_asked(runtime: Runtime, visitors: Visitors, idle_exit: float | None) -> None:
    """By a signal, or by nobody needing it any more."""
    if idle_exit is None:
        await stop_asked()
    else:
        await first_of(stop_asked(), until_idle(visitors, runtime.store, runtime.clock, idle_exit))


@contextlib.asynccontextmanager
async def _alone_on_the_folder(settings: Settings) -> AsyncIterator[HeldLock | None]:
    """The lock of a data folder whose store is a file; roles on Redis take none."""
    if scheme(settings.store_url) != "sqlite":
        yield None
        return
    with hold(Path(settings.data)) as lock:
        yield lock


async def _recover(runtime: Runtime) -> None:
    """What only the lock's holder may do: whoever had a lease in this store is gone."""
    await clear_dead(runtime)
    await release_predecessors(runtime)
    await publish_waiting(runtime)
