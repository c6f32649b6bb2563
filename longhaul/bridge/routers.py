"""Which router the bridge speaks to: the one it was given, the data folder's, or one it starts."""

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

import structlog

from common.backoff import Backoff
from common.clock import Clock
from common.config.load import load_settings
from common.config.urls import scheme
from common.config.validate import check_listen
from common.tasks import cancel_and_join
from longhaul.bridge.starting import NotStartedError, StartedRouter
from longhaul.client import Client
from longhaul.datafolder import Announced, running_router
from longhaul.exits import CommandError, NotThereError, UnreachableError, UsageError
from longhaul.target import Target, announced_target, data_folder, given_target

log = structlog.get_logger(__name__)

BACK_WITHIN = 10.0  # seconds for the router that was given
FOUND_WITHIN = 30.0  # seconds to find a router, or to start one
STARTS = 3  # a start may lose against another bridge's, or against a router that is ending
LOOK = 0.05  # seconds between two looks
WARM_WITHIN = 8.0  # seconds that a new router's backends have to say what they offer


class Routers:
    """`reach` before each request; `lost` when a router did not answer."""

    def __init__(
        self, environ: Mapping[str, str], cwd: Path, clock: Clock, *, idle_exit: str
    ) -> None:
        self._environ = environ
        self._cwd = cwd
        self.clock = clock
        self._idle_exit = idle_exit
        self._given = given_target(environ)
        self._data = data_folder(environ, cwd)
        self._target: Target | None = None
        self._found_once = False
        self._searching = asyncio.Lock()
        self._found = asyncio.Event()  # while there is a target
        self._warm = asyncio.Event()
        self._warm.set()
        self._warming: asyncio.Task[None] | None = None

    async def reach(self) -> Target:
        """A router that answered when it was found.

        Raises:
            CommandError: There is none, and none could be started.
            ConfigError: None could be started with this configuration.
        """
        async with self._searching:
            if self._target is None:
                self._target = await self._find()
                self._found_once = True
                self._found.set()
                log.info("bridge.router_found", address=self._target.url)
            return self._target

    def known(self) -> Target | None:
        """As `reach`, for what is no reason to start one: None when there is none."""
        if self._target is not None or self._given is not None:
            return self._target or self._given
        try:
            router = running_router(self._data)
        except OSError:
            return None
        return announced_target(router, self._environ) if router and router.address else None

    def lost(self, target: Target) -> None:
        if self._target is target:
            log.warning("bridge.router_lost", address=target.url)
            self._target = None
            self._found.clear()

    async def pause(self, seconds: float) -> None:
        """Between two tries to listen; shorter when a router is found: it may end unheard."""
        if self._target is not None:
            await self.clock.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._found.wait()

    async def warm(self) -> None:
        """A router that has just been started does not know its backends' tools yet."""
        await self._warm.wait()

    async def aclose(self) -> None:
        await cancel_and_join(self._warming)

    # --- finding

    async def _find(self) -> Target:
        if self._given is not None:
            return await self._greeted(self._given)
        until = self.clock.monotonic() + FOUND_WITHIN
        attempts: list[StartedRouter] = []
        said, new = "it has not told its address yet", False
        while self.clock.monotonic() < until:
            router = self._running()
            if router is None:
                self._start_again(attempts)
            elif router.address:
                target = announced_target(router, self._environ)
                try:
                    await _greet(target)
                except UnreachableError as error:
                    said = str(error)  # it may be about to end
                else:
                    if new:
                        self._warm.clear()
                        self._warming = asyncio.create_task(self._warm_up(target))
                    return target
            new = True
            await self.clock.sleep(LOOK)
        raise UnreachableError(f"the router on {self._data} does not answer: {said}")

    async def _greeted(self, target: Target) -> Target:
        """Once it has answered, it is given time to come back."""
        until = self.clock.monotonic() + (BACK_WITHIN if self._found_once else 0.0)
        backoff = Backoff(first=0.1, limit=1.0)
        while True:
            try:
                await _greet(target)
            except UnreachableError:
                if self.clock.monotonic() >= until:
                    raise
            else:
                return target
            await self.clock.sleep(backoff.next())

    def _running(self) -> Announced | None:
        try:
            return running_router(self._data)
        except OSError as error:
            raise UsageError(f"the data folder {self._data} cannot be used: {error}") from error

    def _start_again(self, attempts: list[StartedRouter]) -> None:
        if attempts and not attempts[-1].ended:
            return
        if len(attempts) == STARTS:
            words = attempts[-1].last_words() or "it said nothing"
            raise UsageError(f"the router on {self._data} ended as it started: {words}")
        self._check_settings()
        try:
            attempts.append(StartedRouter(self._data, self._environ, self._idle_exit))
        except NotStartedError as error:
            raise UsageError(str(error)) from error
        log.info("bridge.router_started", pid=attempts[-1].pid)

    def _check_settings(self) -> None:
        """Better said here than in the router's log."""
        loaded = load_settings(config_file=None, environ=self._environ, cwd=self._cwd, overrides={})
        if scheme(loaded.settings.store_url) != "sqlite":
            raise UsageError(
                "this configuration names a broker and a store that several processes share: "
                "start those, and set LONGHAUL_URL to the address of the router"
            )
        problem = check_listen(loaded.settings.listen)
        if problem is not None:
            raise UsageError(problem.message)
        if not loaded.settings.backends:
            log.warning("bridge.no_backends", data=str(self._data))

    async def _warm_up(self, target: Target) -> None:
        until = self.clock.monotonic() + WARM_WITHIN
        try:
            while self.clock.monotonic() < until and not await _offers_all(target):
                await self.clock.sleep(LOOK)
        except CommandError as error:
            log.debug("bridge.not_warm", error=str(error))
        finally:
            self._warm.set()


async def _greet(target: Target) -> None:
    """Raises: CommandError: It does not answer, or not to this key."""
    try:
        await asyncio.to_thread(_tools, target)
    except NotThereError as error:
        raise UsageError(f"{target.url} is no Longhaul router: {error}") from error


async def _offers_all(target: Target) -> bool:
    """Every backend has said what it offers, or is down."""
    backends = await asyncio.to_thread(_backends, target)
    return all(each["tools"] or each["state"] in {"down", "disabled"} for each in backends)


def _tools(target: Target) -> None:
    with Client(target) as router:
        router.get("/v1/tools")


def _backends(target: Target) -> list[dict[str, object]]:
    with Client(target) as router:
        return list(router.get("/v1/backends")["backends"])
