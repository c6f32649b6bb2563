"""One replica: kept alive or connected by a loop that survives whatever the backend does."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from common.backoff import Backoff
from common.clock import Clock
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
from workers.backends.handshake import Agreed, agree
from workers.backends.link import Hearing, Link
from workers.backends.session import Session
from workers.backends.side import Side

log = structlog.get_logger(__name__)

HANDSHAKE_LIMIT = 30.0  # seconds from a started process to an agreed version
LIST_LIMIT = 60.0  # seconds for every page of tools/list
FIRST_DELAY = 0.2  # seconds before it is started or connected again
LONGEST_DELAY = 30.0  # seconds
STEADY = 10.0  # seconds up after which earlier failures are forgotten
LIST_PAUSE = 0.1  # seconds that changes of a list are gathered before it is read again


class Replica:
    """Listings go out through `on_listing`; `on_ready` says that there may be room now."""

    def __init__(
        self,
        backend: str,
        index: int,
        door: Door,
        clock: Clock,
        *,
        on_listing: Callable[[ToolListing], None],
        on_ready: Callable[[], None],
        interactive: bool = False,
    ) -> None:
        self._log = log.bind(backend=backend, replica=index)
        self._backend = backend
        self._door = door
        self._clock = clock
        self._on_listing = on_listing
        self._on_ready = on_ready
        self._interactive = interactive
        self._session: Session | None = None
        self._era: Era | None = None  # known since the first agreement
        self._guess: Era | None = None  # to try once, because the other question ended in silence
        self._state: ReplicaState = "starting"
        self._since = clock.now()
        self._starts = 0
        self._last_error: str | None = None  # stays when it is up again: why it was restarted
        self.index = index
        self.in_flight = 0
        self.latency: float | None = None

    @property
    def ready(self) -> bool:
        return self._session is not None and self._session.alive

    @property
    def asks_in_mid_call(self) -> bool:
        """Its tools may ask questions over this very connection."""
        return self._interactive and self._session is not None and self._session.legacy

    def status(self) -> ReplicaStatus:
        return ReplicaStatus(
            state=self._state,
            since=self._since,
            protocol_version=self._session.agreed.version if self._session is not None else None,
            in_flight=self.in_flight,
            restarts=max(0, self._starts - 1),
            pid=self._door.pid,
            url=self._door.url,
            last_error=self._last_error,
            last_stderr=self._door.last_stderr,
        )

    async def call(self, call: Call, listener: Listener) -> dict[str, Any]:
        """See `Place.call`."""
        if self._session is None:
            raise NotStarted(f"{self._backend} is not connected")
        started = self._clock.monotonic()
        result = await self._session.call(call, listener)
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
                self._starts += 1
                self._last_error = await self._live()
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
                await self._clock.sleep(delay)
        finally:
            self._enter("stopped")
            await self._door.aclose()

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
        hearing.interactive = self._interactive and agreed.era == "legacy"
        session = Session(self._backend, link, agreed, hearing, self._clock)
        async with asyncio.timeout(LIST_LIMIT):
            self._on_listing(await session.list_tools())
        self._session = session
        self._enter("ready")
        self._log.info("backend.replica_ready", version=agreed.version, pid=self._door.pid)
        self._on_ready()
        try:
            async with Side(self._backend) as side:
                side.start(session.ask_for_logs())
                side.start(session.subscribe(changed.set))
                side.start(self._list_again(session, changed))
                return await link.wait_lost()
        finally:
            self._session = None
            self._enter("backoff")

    async def _agree(self, link: Link) -> Agreed:
        known = self._era or self._guess
        try:
            agreed = await agree(link, known, interactive=self._interactive)
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
