"""The check-up: one look at everything a configuration names, as `longhaul check` reports it."""

import asyncio
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from common.brokers.base import BrokerError
from common.brokers.rabbitmq.survey import survey as survey_rabbit
from common.clock import SystemClock
from common.config.load import Loaded
from common.config.model import Backend, Settings
from common.config.problems import Problem
from common.config.urls import mask_url, sqlite_path
from common.config.validate import check_listen, check_names, collisions
from common.errors import StoreUnreachableError
from common.store.redis.survey import survey as survey_redis
from common.tasks import cancel_and_join
from longhaul.datafolder import running_router
from workers.backends.base import BackendStatus, ToolListing
from workers.backends.pool import BackendPool

START_WITHIN = 60.0  # seconds for a backend to list its tools; package runners download first
LOOK = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A broker or a store, and how it answered."""

    kind: str  # broker | store
    name: str  # its address, without secrets
    summary: str = ""
    error: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A backend that was started, or connected to, once."""

    name: str
    listing: ToolListing | None
    error: str = ""
    stderr: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    loaded: Loaded
    servers: tuple[Server, ...] = ()
    backends: tuple[Tried, ...] = ()
    problems: tuple[Problem, ...] = field(default=())
    warnings: tuple[Problem, ...] = field(default=())


async def check_up(loaded: Loaded, seen: Callable[[str], None]) -> Report:
    """Try broker, store and every backend, all at once; `seen` hears what is under way."""
    settings = loaded.settings
    names = ", ".join(each.name for each in settings.backends if not each.disabled)
    seen(f"trying the servers and {names or 'no backends'}")
    async with asyncio.TaskGroup() as group:
        servers = [group.create_task(_broker(settings)), group.create_task(_store(settings))]
        backends = [
            group.create_task(_backend(each)) for each in settings.backends if not each.disabled
        ]
    tried = tuple(task.result() for task in backends)
    tools = [
        (each.name, tool["name"]) for each in tried if each.listing for tool in each.listing.tools
    ]
    return Report(
        loaded=loaded,
        servers=tuple(task.result() for task in servers),
        backends=tried,
        problems=tuple(_problems(settings, tools)),
        warnings=(
            *loaded.warnings,
            *check_names(tools, namespaces=settings.namespaces),
            *_no_backends(settings),
            *_no_blobs(settings),
        ),
    )


def _problems(settings: Settings, tools: Sequence[tuple[str, str]]) -> list[Problem]:
    found = list(collisions(tools, namespaces=settings.namespaces))
    listen = check_listen(settings.listen)
    return found if listen is None else [listen, *found]


def _no_backends(settings: Settings) -> list[Problem]:
    if any(not each.disabled for each in settings.backends):
        return []
    return [Problem(message="no backends: there is nothing to call", path=("mcpServers",))]


def _no_blobs(settings: Settings) -> list[Problem]:
    if settings.blob_url:
        return []
    message = (
        f"not set: results and arguments over {settings.inline_limit} bytes stay in the store; "
        "documents, and batches of more than that, are refused"
    )
    return [Problem(message=message, path=("blob_url",))]


async def _broker(settings: Settings) -> Server:
    if settings.embedded:
        return Server(kind="broker", name="memory:", summary="in this process")
    name = mask_url(settings.broker_url)
    try:
        found = await survey_rabbit(settings.broker_url, settings.queue_type)
    except BrokerError as error:
        return Server(kind="broker", name=name, error=str(error))
    summary = f"RabbitMQ {found.version}, {found.queue_type} queues"
    return Server(kind="broker", name=name, summary=summary, warnings=found.warnings)


async def _store(settings: Settings) -> Server:
    if settings.store_url.startswith("sqlite:"):
        return _file(settings)
    name = mask_url(settings.store_url)
    try:
        found = await survey_redis(settings.store_url)
    except StoreUnreachableError as error:
        return Server(kind="store", name=name, error=str(error))
    return Server(
        kind="store", name=name, summary=f"Redis {found.version}", warnings=found.warnings
    )


def _file(settings: Settings) -> Server:
    path, data = sqlite_path(settings.store_url), Path(settings.data)
    for folder in (data, path.parent):
        if not _writable(folder):
            return Server(kind="store", name=str(path), error=f"{folder} cannot be written")
    try:
        router = running_router(data)
    except OSError as error:
        return Server(kind="store", name=str(path), error=str(error))
    state = f"in use by the router at {router.address}" if router else "no router runs on it"
    return Server(kind="store", name=str(path), summary=f"SQLite file; {state}")


def _writable(folder: Path) -> bool:
    """It is, or it can be made: the nearest folder above that exists is."""
    there = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)


async def _backend(config: Backend) -> Tried:
    """Started apart from any router: in a folder of its own, one process or each URL, no calls."""
    listed: asyncio.Future[ToolListing] = asyncio.get_running_loop().create_future()

    async def hear(listing: ToolListing) -> None:
        if not listed.done():
            listed.set_result(listing)

    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="longhaul-check-") as folder:
        pool = BackendPool(
            config.model_copy(update={"replicas": 1}),
            clock,
            data=Path(folder),
            owner="check",
            on_tools=hear,
        )
        running = asyncio.create_task(pool.run())
        try:
            async with asyncio.timeout(START_WITHIN):
                while not _decided(pool.status(), listed=listed.done()):
                    await clock.sleep(LOOK)
        except TimeoutError:
            pass  # what there is by now is the answer
        finally:
            status = pool.status()
            await cancel_and_join(running)
    return _tried(status, listed.result() if listed.done() else None)


def _decided(status: BackendStatus, *, listed: bool) -> bool:
    """Each replica is up or has failed once; one that failed is tried again, but not by us."""
    states = {replica.state for replica in status.replicas}
    return "starting" not in states and (listed or "ready" not in states)


def _tried(status: BackendStatus, listing: ToolListing | None) -> Tried:
    failed = [replica for replica in status.replicas if replica.state != "ready"]
    errors = [
        f"{replica.url}: {replica.last_error}" if replica.url else replica.last_error
        for replica in failed
        if replica.last_error
    ]
    late = [] if listing or errors else [f"listed no tools within {START_WITHIN:g} s"]
    return Tried(
        name=status.name,
        listing=listing,
        error="; ".join([*errors, *late]),
        stderr=next((replica.last_stderr for replica in failed if replica.last_stderr), ""),
    )
