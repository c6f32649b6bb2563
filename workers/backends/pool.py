"""The replicas of one backend in this worker, and who gets the next place on them."""

import asyncio
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

import structlog

from common.backoff import Backoff
from common.clock import Clock
from common.config.model import Backend
from workers.backends import balance
from workers.backends.base import BackendStatus, OnTools, Place, ToolListing, Verdict
from workers.backends.doors import Door, EventsDoor, HttpDoor, ProcessDoor
from workers.backends.parting import Parting
from workers.backends.replica import Replica
from workers.backends.side import Side
from workers.backends.stderr import StderrFile, log_file
from workers.backends.turnover import Turnover

log = structlog.get_logger(__name__)

PUBLISH_LIMIT = 30.0  # seconds for one attempt to hand a listing on


class Stay:
    """The keeper of one place: see `Keeper`."""

    def __init__(self, pool: "BackendPool", replica: Replica) -> None:
        self._pool = pool
        self._replica = replica
        self._life = replica.fitness.take()
        self._trial = replica.fitness.breaker == "half-open"
        self._judged = False

    def judge(self, verdict: Verdict) -> None:
        self._judged = True
        self._replica.fitness.judge(verdict, self._life)

    async def see_off(self, parting: Parting) -> None:
        await self._replica.fitness.see_off(parting)

    def give_back(self, parting: Parting | None) -> None:
        if parting is None:
            self._freed()
        else:
            self._pool.side.start(self._give_back_later(parting))

    async def _give_back_later(self, parting: Parting) -> None:
        try:
            await self.see_off(parting)
        finally:
            self._freed()

    def _freed(self) -> None:
        self._replica.fitness.free(trial_given_up=self._trial and not self._judged)
        self._pool.serve_waiting()


class BackendPool:
    """One backend in one worker; `run` it, then take places.

    `data` is the data folder, `owner` names this process start: under both, the process groups
    of replicas are recorded (see `groups`). `on_tools` hears the first listing and every change.
    """

    def __init__(
        self, config: Backend, clock: Clock, *, data: Path, owner: str, on_tools: OnTools
    ) -> None:
        self._config = config
        self._clock = clock
        self._on_tools = on_tools
        self._stderr = StderrFile(log_file(data, config.name))
        self._listing: ToolListing | None = None
        self._fresh = asyncio.Event()
        self._waiting: deque[tuple[asyncio.Future[Place], str]] = deque()  # with their keys
        self._last = -1
        self._change = asyncio.Event()
        self._turnover = Turnover(self._next_change)
        self._disabled: str | None = None
        self.side = Side(config.name)
        self._replicas = tuple(
            Replica(
                config,
                index,
                door,
                clock,
                on_listing=self._listed,
                on_change=self.changed,
                on_worn=self._turnover.wear,
            )
            for index, door in enumerate(self._doors(data, owner))
        )

    def _doors(self, data: Path, owner: str) -> list[Door]:
        config = self._config
        if config.transport == "stdio":
            return [ProcessDoor(config, data, owner, self._stderr) for _ in range(config.replicas)]
        door = HttpDoor if config.transport == "http" else EventsDoor
        return [door(config, url) for url in config.urls]

    async def run(self) -> None:
        """Keep every replica up until cancelled; within 5 s of that, no process is left."""
        try:
            async with self.side, asyncio.TaskGroup() as group:
                group.create_task(self._publish())
                group.create_task(self._turnover.run())
                group.create_task(self._watch_breakers())
                for replica in self._replicas:
                    group.create_task(replica.run())
        finally:
            self._stderr.close()

    # --- places

    @property
    def affine(self) -> bool:
        """Which replica takes a call depends on its key."""
        return self._config.balance == "affinity" and len(self._replicas) > 1

    def try_place(self, key: str = "") -> Place | None:
        """A free place on a replica that takes calls, now or not at all."""
        if self._disabled is not None:
            return None
        fit = [replica for replica in self._replicas if replica.fitness.fit]
        free = [
            balance.Candidate(
                index=replica.index,
                in_flight=replica.fitness.in_flight,
                latency=replica.latency,
            )
            for replica in fit
            if replica.fitness.in_flight < self._places(replica)
        ]
        if not free:
            return None
        home = balance.home_of(key, {each.index: self._name(each) for each in fit}) if key else None
        count = len(self._replicas)
        self._last = balance.choose(self._config.balance, free, self._last, count, home)
        replica = self._replicas[self._last]
        return Place(replica, Stay(self, replica), self._others(replica))

    async def wait_place(self, key: str = "") -> Place:
        """A place as soon as there is one; first come, first served."""
        if not self._waiting and (place := self.try_place(key)) is not None:
            return place
        waiting: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._waiting.append((waiting, key))
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                waiting.result().release()
            raise

    # --- whether it takes calls

    @property
    def takes_calls(self) -> bool:
        """Now, or as soon as a replica that is not known to be broken has room."""
        return self._disabled is None and any(each.fitness.hopeful for each in self._replicas)

    @property
    def may_come(self) -> bool:
        """A place is worth waiting for: all are taken, or a replica starts for the first time."""
        return self.takes_calls and any(
            each.fitness.hopeful and (each.ready or each.starting) for each in self._replicas
        )

    async def until(self, *, takes_calls: bool) -> None:
        """Wait until it takes calls, or takes none."""
        while self.takes_calls is not takes_calls:
            await self._next_change()

    def why_not(self) -> str:
        """Why a call has no place here now, in words that follow the backend's name."""
        if self._disabled is not None:
            return f"is disabled {self._disabled}"
        states = [each.fitness for each in self._replicas]
        if open_ := [each for each in states if each.breaker == "open"]:
            first = min(open_, key=lambda each: each.breaker_until or 0.0)
            until = datetime.fromtimestamp(first.breaker_until or 0.0, UTC)
            return f"gets no calls until {until:%H:%M:%S} UTC: {first.why_open}"
        if any(each.ready for each in self._replicas):
            return "has no free place on the worker that took it"
        return "is not up on the worker that took it"

    def changed(self) -> None:
        """Something may go on now, or may no longer."""
        self.serve_waiting()
        before, self._change = self._change, asyncio.Event()
        before.set()

    async def _next_change(self) -> None:
        await self._change.wait()

    async def _watch_breakers(self) -> None:
        """Time alone lets a breaker admit a call: nobody else would say so."""
        while True:
            try:
                async with asyncio.timeout(self._next_half_open()):
                    await self._next_change()
            except TimeoutError:
                self.changed()

    def _next_half_open(self) -> float | None:
        """Seconds until a breaker lets a call through."""
        times = [each.fitness.breaker_until for each in self._replicas]
        known = [time - self._clock.now() for time in times if time is not None]
        return max(0.01, min(known)) if known else None

    # --- what operators ask for

    def disable(self, words: str | None) -> None:
        """No more calls, with the words that tell who said so; None: calls again."""
        if self._disabled != words:
            self._disabled = words
            event = "backend.disabled" if words is not None else "backend.enabled"
            log.info(event, backend=self._config.name)
            self.changed()

    def restart(self, why: str, *, at_once: bool) -> None:
        """A fresh start for each replica: one after the other as its calls end, or all now."""
        for replica in self._replicas:
            if at_once:
                replica.fitness.restart(why)
                replica.hurry()
            else:
                self._turnover.wear(replica, why)

    def log_tail(self, lines: int) -> list[str]:
        """The last lines that its processes wrote to stderr, with the pid of each."""
        return self._stderr.tail(lines)

    def status(self) -> BackendStatus:
        return BackendStatus(
            name=self._config.name,
            transport=self._config.transport,
            disabled=self._disabled is not None,
            replicas=tuple(replica.status() for replica in self._replicas),
        )

    def _name(self, replica: Replica) -> str:
        """What stays when others come or go, and is the same on every worker."""
        return self._config.urls[replica.index] if self._config.urls else str(replica.index)

    def _places(self, replica: Replica) -> int:
        """Calls at once. One, where a question could not be said to belong to one of several."""
        told_apart = self._config.transport == "http"  # by the response it comes on
        return self._config.concurrency if told_apart or not replica.asks_in_mid_call else 1

    def _others(self, replica: Replica) -> list[Replica]:
        """Those that may know a task which this one does not. A process that is not up does not."""
        urls = self._config.transport != "stdio"
        return [each for each in self._replicas if each is not replica and (urls or each.ready)]

    def serve_waiting(self) -> None:
        """A place may be free: of all that changes, only who waits for one goes on by that."""
        while self._waiting:
            first, key = self._waiting[0]
            if first.done():
                self._waiting.popleft()
                continue
            place = self.try_place(key)
            if place is None:
                return
            self._waiting.popleft()
            first.set_result(place)

    def _listed(self, listing: ToolListing) -> None:
        if listing != self._listing:
            self._listing = listing
            self._fresh.set()

    async def _publish(self) -> None:
        backoff = Backoff(first=0.2, limit=30.0)
        while True:
            await self._fresh.wait()
            self._fresh.clear()
            listing = self._listing
            if listing is None or await self._handed_on(listing):
                backoff.reset()
                continue
            await self._clock.sleep(backoff.next())
            self._fresh.set()

    async def _handed_on(self, listing: ToolListing) -> bool:
        for name, reason in listing.dropped:
            log.warning("backend.tool_dropped", backend=listing.backend, tool=name, reason=reason)
        try:
            async with asyncio.timeout(PUBLISH_LIMIT):
                await self._on_tools(listing)
        except Exception:
            # Boundary: the listing is wanted by someone whose troubles (a store that is away)
            # must not end the replicas; it is handed on again.
            log.warning("backend.listing_not_taken", backend=listing.backend, exc_info=True)
            return False
        return True
