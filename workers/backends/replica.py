"""One replica: kept alive or connected by a loop that survives whatever the backend does."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from common.backoff import Backoff
from common.clock import Clock
from common.config.model import Backend
from common.tasks import cancel_and_join
from workers.backends import balance
from workers.backends.base import (
    BackendError,
    Call,
    ConnectionLost,
    Era,
    Listener,
    NotStarted,
    ProtocolFailure,
    ReplicaState,
    ReplicaStatus,
    ToolListing,
)
from workers.backends.doors import Door
from workers.backends.fitness import Fitness
from workers.backends.handshake import Agreed, agree
from workers.backends.link import Hearing, Link
from workers.backends.looks import keep_looking, look
from workers.backends.parting import Parting
from workers.backends.session import Session
from workers.backends.side import Side
from workers.backends.wear import watch_wear

log = structlog.get_logger(__name__)

HANDSHAKE_LIMIT = 30.0  # seconds from a started process to an agreed version
LIST_LIMIT = 60.0  # seconds for every page of tools/list
FIRST_DELAY = 0.2  # seconds before it is started or connected again
LONGEST_DELAY = 30.0  # seconds
STEADY = 10.0  # seconds up after which earlier failures are forgotten
LIST_PAUSE = 0.1  # seconds that changes of a list are gathered before it is read again


class Replica:
    """Listings go out through `on_listing`.

    `on_change` says that it may take calls now or may not, `on_worn` that a fresh one should take
    its place.
    """

    def __init__(
        self,
        config: Backend,
        index: int,
        door: Door,
        clock: Clock,
        *,
        on_listing: Callable[[ToolListing], None],
        on_change: Callable[[], None],
        on_worn: Callable[["Replica", str], None],
    ) -> None:
        self._log = log.bind(backend=config.name, replica=index)
        self._backend = config.name
        self._config = config
        self._door = door
        self._clock = clock
        self._on_listing = on_listing
        self._on_change = on_change
        self._worn = partial(on_worn, self)
        self._session: Session | None = None
        self._era: Era | None = None  # known since the first agreement
        self._guess: Era | None = None  # to try once, because the other question ended in silence
        self._state: ReplicaState = "starting"
        self._since = clock.now()
        self._last_error: str | None = None  # stays when it is up again: why it was restarted
        self._hurried = asyncio.Event()
        self.index = index
        self.starts = 0
        self.fitness = Fitness(config, index, clock, on_change=on_change, on_worn=self._worn)
        self.latency: float | None = None

    @property
    def ready(self) -> bool:
        return self._session is not None and self._session.alive

    @property
    def asks_in_mid_call(self) -> bool:
        """Its tools may ask questions over this very connection."""
        return self._config.interactive and self._session is not None and self._session.legacy

    @property
    def starting(self) -> bool:
        """For the first time, or after it was up."""
        return self._state == "starting" and not self.fitness.failed_starts

    def status(self) -> ReplicaStatus:
        fitness = self.fitness
        return ReplicaStatus(
            state=self._state,
            since=self._since,
            protocol_version=self._session.agreed.version if self._session is not None else None,
            in_flight=fitness.in_flight,
            restarts=max(0, self.starts - 1),
            pid=self._door.pid,
            url=self._door.url,
            last_error=self._last_error,
            last_stderr=self._door.last_stderr,
            breaker=fitness.breaker,
            breaker_until=fitness.breaker_until,
            breaker_why=fitness.why_open,
            failed_looks=fitness.seen.failed,
            look_error=fitness.seen.error,
            retiring=fitness.retiring,
        )

    async def call(self, call: Call, listener: Listener, parting: Parting) -> dict[str, Any]:
        """See `Place.call`."""
        if self._session is None:
            raise NotStarted(f"{self._backend} is not connected")
        started = self._clock.monotonic()
        result = await self._session.call(call, listener, parting)
        self.latency = balance.moved(self.latency, self._clock.monotonic() - started)
        return result

    async def cancel_task(self, call: Call) -> None:
        """See `Place.cancel_task`."""
        if self._session is None:
            raise NotStarted(f"{self._backend} is not connected")
        await self._session.cancel_task(call)

    async def run(self) -> None:
        """Keep it up until cancelled."""
        backoff = Backoff(first=FIRST_DELAY, limit=LONGEST_DELAY)
        try:
            while True:
                started = self._clock.monotonic()
                self._enter("starting")
                self.starts += 1
                self._last_error = await self._live()
                if self._state == "starting":
                    self.fitness.failed_starts += 1
                elif self.fitness.used_up:
                    self._log.info("backend.replica_replaced", why=self._last_error)
                    backoff.reset()
                    continue
                if self._clock.monotonic() - started >= STEADY:
                    backoff.reset()
                delay = backoff.next()
                if self._state != "backoff":
                    self._enter("backoff")
                self._log.warning(
                    "backend.replica_down",
                    error=self._last_error,
                    stderr=self._door.last_stderr,
                    next_in=round(delay, 2),
                )
                await self._pause(delay)
        finally:
            self._enter("stopped")
            await self._door.aclose()

    def hurry(self) -> None:
        """If it waits to be started again, it waits no longer."""
        self._hurried.set()

    async def _pause(self, seconds: float) -> None:
        self._hurried.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurried.wait()

    async def _live(self) -> str:
        """One life, from start to end; why it ended."""
        try:
            changed = asyncio.Event()
            hearing = Hearing(self._backend, changed.set)
            async with self._door.open(hearing) as link:
                reason = await self._serve(link, hearing, changed)
        except BackendError as error:
            reason = error.message
        except TimeoutError:
            reason = "it did not answer in time when it was started"
        except OSError as error:
            reason = f"cannot be started: {error.strerror or error}"
        except Exception:
            # Boundary: no reply of a backend, however odd, may end its supervision.
            log.exception("backend.replica_failed", backend=self._backend)
            reason = "an unexpected failure, see the log"
        return self._epitaph(reason)

    def _epitaph(self, reason: str) -> str:
        status = self._door.exit_status
        return reason if status is None else f"{reason} (exit status {status})"

    async def _serve(self, link: Link, hearing: Hearing, changed: asyncio.Event) -> str:
        async with asyncio.timeout(HANDSHAKE_LIMIT):
            agreed = await self._agree(link)
        hearing.interactive = self._config.interactive and agreed.era == "legacy"
        session = Session(self._backend, link, agreed, hearing, self._clock)
        async with asyncio.timeout(LIST_LIMIT):
            self._on_listing(await session.list_tools())
        if (wrong := await self._still_wrong(session)) is not None:
            return f"still unhealthy: {wrong}"
        self._session = session
        self.fitness.began(session)
        self._enter("ready")
        self._log.info("backend.replica_ready", version=agreed.version, pid=self._door.pid)
        config, clock = self._config, self._clock
        try:
            async with Side(self._backend) as side:
                side.start(session.ask_for_logs())
                side.start(session.subscribe(changed.set))
                side.start(self._list_again(session, changed))
                side.start(keep_looking(self.fitness, session, config.health, clock.sleep))
                side.start(watch_wear(config.recycle, self._door.pid, clock, self._worn))
                return await self._until_over(link)
        finally:
            self._session = None
            self.fitness.ended()
            self._enter("backoff")

    async def _still_wrong(self, session: Session) -> str | None:
        """What is wrong with one that was unhealthy: it gets calls when a look shows nothing."""
        fitness, rule = self.fitness, self._config.health
        if fitness.seen.unhealthy(rule):
            fitness.seen = fitness.seen.after(await look(session, rule))
        return fitness.seen.error if fitness.seen.unhealthy(rule) else None

    async def _until_over(self, link: Link) -> str:
        """Until it is lost, or ended from our side; why."""
        lost = asyncio.create_task(link.wait_lost())
        over = asyncio.create_task(self.fitness.over.wait())
        try:
            await asyncio.wait({lost, over}, return_when=asyncio.FIRST_COMPLETED)
            return lost.result() if lost.done() else f"replaced: {self.fitness.retiring}"
        finally:
            await cancel_and_join(lost, over)

    async def _agree(self, link: Link) -> Agreed:
        wanted: Era | None = "legacy" if self._config.protocol == "legacy" else None
        known = wanted or self._era or self._guess
        try:
            agreed = await agree(link, known, interactive=self._config.interactive)
        except NotStarted:
            raise
        except ConnectionLost:
            # Perhaps one of the old servers that die of a question they do not know.
            self._era, self._guess = None, (None if known else "legacy")
            raise
        except ProtocolFailure:
            # Whatever it was before, it is another version now.
            self._era = self._guess = None
            raise
        if known is None:
            self._era = agreed.era
        self._guess = None
        return agreed

    async def _list_again(self, session: Session, changed: asyncio.Event) -> None:
        while True:
            await changed.wait()
            await self._clock.sleep(LIST_PAUSE)
            changed.clear()
            backoff = Backoff(first=FIRST_DELAY, limit=LONGEST_DELAY)
            while not await self._list_once(session):
                await self._clock.sleep(backoff.next())

    async def _list_once(self, session: Session) -> bool:
        with suppress(BackendError, TimeoutError):
            async with asyncio.timeout(LIST_LIMIT):
                self._on_listing(await session.list_tools())
                return True
        self._log.warning("backend.list_failed")
        return False

    def _enter(self, state: ReplicaState) -> None:
        self._state = state
        self._since = self._clock.now()
        self._on_change()
