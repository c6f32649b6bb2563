"""The replicas of one backend in this worker, and who gets the next place on them."""

import asyncio
from collections import deque
from pathlib import Path

import structlog

from common.backoff import Backoff
from common.clock import Clock
from common.config.model import Backend
from workers.backends import balance
from workers.backends.base import BackendStatus, OnTools, Place, ToolListing
from workers.backends.doors import Door, EventsDoor, HttpDoor, ProcessDoor
from workers.backends.replica import Replica
from workers.backends.stderr import StderrFile, log_file

log = structlog.get_logger(__name__)

PUBLISH_LIMIT = 30.0  # seconds for one attempt to hand a listing on


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
        self._waiting: deque[asyncio.Future[Place]] = deque()
        self._last = -1
        self._replicas = tuple(
            Replica(
                config.name,
                index,
                door,
                clock,
                on_listing=self._listed,
                on_ready=self._serve_waiting,
                interactive=config.interactive,
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
            async with asyncio.TaskGroup() as group:
                group.create_task(self._publish())
                for replica in self._replicas:
                    group.create_task(replica.run())
        finally:
            self._stderr.close()

    def try_place(self) -> Place | None:
        """A free place on a healthy replica, now or not at all."""
        free = [
            balance.Candidate(
                index=replica.index, in_flight=replica.in_flight, latency=replica.latency
            )
            for replica in self._replicas
            if replica.ready and replica.in_flight < self._places(replica)
        ]
        if not free:
            return None
        self._last = balance.choose(self._config.balance, free, self._last, len(self._replicas))
        replica = self._replicas[self._last]
        replica.in_flight += 1
        return Place(replica, lambda: self._give_back(replica), self._others(replica))

    async def wait_place(self) -> Place:
        """A place as soon as there is one; first come, first served."""
        if not self._waiting and (place := self.try_place()) is not None:
            return place
        waiting: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                waiting.result().release()
            raise

    def status(self) -> BackendStatus:
        return BackendStatus(
            name=self._config.name,
            transport=self._config.transport,
            replicas=tuple(replica.status() for replica in self._replicas),
        )

    def _places(self, replica: Replica) -> int:
        """Calls at once. One, where a question could not be said to belong to one of several."""
        told_apart = self._config.transport == "http"  # by the response it comes on
        return self._config.concurrency if told_apart or not replica.asks_in_mid_call else 1

    def _others(self, replica: Replica) -> list[Replica]:
        """Those that may know a task which this one does not. A process that is not up does not."""
        urls = self._config.transport != "stdio"
        return [each for each in self._replicas if each is not replica and (urls or each.ready)]

    def _give_back(self, replica: Replica) -> None:
        replica.in_flight -= 1
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
                continue
            place = self.try_place()
            if place is None:
                return
            self._waiting.popleft().set_result(place)

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
