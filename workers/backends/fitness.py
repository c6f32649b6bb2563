"""Fitness: whether a replica may take calls now, by how calls and looks went, and until when."""

import asyncio
from collections.abc import Callable

import structlog

from common.clock import Clock
from common.config.model import Backend
from workers.backends.base import Verdict
from workers.backends.breaker import BreakerState, Circuit
from workers.backends.looks import Seen
from workers.backends.parting import Parting
from workers.backends.session import Session
from workers.backends.wear import worn_by_calls

log = structlog.get_logger(__name__)


class Fitness:
    """Of one replica, over its lives.

    `on_change` says that it may take calls now or may not, `on_worn` that a fresh one should take
    its place.
    """

    def __init__(
        self,
        config: Backend,
        index: int,
        clock: Clock,
        *,
        on_change: Callable[[], None],
        on_worn: Callable[[str], None],
    ) -> None:
        self._log = log.bind(backend=config.name, replica=index)
        self._config = config
        self._clock = clock
        self._on_change = on_change
        self._on_worn = on_worn
        self._circuit = Circuit()
        self._life = 0
        self._session: Session | None = None
        self._broken_life = 0  # whose end was counted as one failure, however many calls it broke
        self._calls = 0  # of this life
        self._stuck = 0  # of those in flight, cancelled ones whose tools did not let go
        self.failed_starts = 0  # in a row
        self.seen = Seen()
        self.in_flight = 0
        self.retiring: str | None = None
        self.over = asyncio.Event()  # this life should end from our side

    # --- what may be known

    @property
    def alive(self) -> bool:
        return self._session is not None and self._session.alive

    @property
    def fit(self) -> bool:
        """It may take a call now."""
        now = self._clock.monotonic()
        return self.alive and self.retiring is None and self._circuit.admits(now)

    @property
    def hopeful(self) -> bool:
        """A call may be taken soon: it is not known to be broken."""
        given_up = self.failed_starts >= self._config.breaker.failures
        return not given_up and self.breaker != "open"

    @property
    def breaker(self) -> BreakerState:
        return self._circuit.state(self._clock.monotonic())

    @property
    def breaker_until(self) -> float | None:
        """Seconds since the epoch; None unless it is open."""
        until = self._circuit.open_until
        if until is None or self.breaker != "open":
            return None
        return self._clock.now() + until - self._clock.monotonic()

    @property
    def why_open(self) -> str:
        return "" if self.breaker == "closed" else self._circuit.why

    @property
    def used_up(self) -> bool:
        """This life ended from our side, with calls served: the next one has nothing to wait for.

        Without calls it does: a limit that a fresh one exceeds must not keep the machine busy.
        """
        return self.over.is_set() and self._calls > 0

    # --- its lives

    def began(self, session: Session) -> None:
        """It is up."""
        self._life += 1
        self._session = session
        self._calls, self.failed_starts, self.retiring = 0, 0, None
        self.over.clear()

    def ended(self) -> None:
        self._session = None

    # --- calls

    def take(self) -> int:
        """One place more is taken; in which of its lives."""
        self.in_flight += 1
        self._calls += 1
        self._circuit = self._circuit.begun(self._clock.monotonic())
        return self._life

    def judge(self, verdict: Verdict, life: int) -> None:
        """What a call of that life has shown. A life that ended is one failure, not one a call."""
        if verdict.failure is None:
            before = self._circuit
            self._circuit = before.went_well(self._clock.monotonic())
            if before.open_until is not None:
                self._on_change()
            return
        ended = life != self._life or not self.alive
        if ended and self._broken_life == life:
            return
        self._broken_life = life if ended else 0
        self._failed(verdict.failure)

    def free(self, *, trial_given_up: bool) -> None:
        """A place less is taken."""
        self.in_flight -= 1
        if trial_given_up:
            self._circuit = self._circuit.gave_up()
        worn = worn_by_calls(self._config.recycle, self._calls)
        if worn is not None and self._config.transport == "stdio":
            self._on_worn(worn)
        self._end_if_retired()

    async def see_off(self, parting: Parting) -> None:
        """See `Keeper.see_off`: the tool answers, is silent long enough, or its process ends."""
        if await parting.let_go(self._config.grace):
            return
        if self._config.on_stuck != "restart" or self._config.transport != "stdio":
            self._log.info("backend.cancelled_in_silence", seconds=self._config.grace)
            return
        self._log.warning("backend.tool_stuck", seconds=self._config.grace)
        self._stuck += 1
        self.retire("a cancelled tool did not let go")
        try:
            await parting.gone()
        finally:
            self._stuck -= 1

    # --- its end, from our side

    def retire(self, why: str) -> None:
        """Take no more calls; once nothing runs it is started again."""
        if self.retiring is None and self.alive:
            self.retiring = why
            self._log.info("backend.replica_retires", why=why, in_flight=self.in_flight)
            self._on_change()
        self._end_if_retired()

    def restart(self, why: str) -> None:
        """Start it again now, whatever runs on it."""
        if self.alive:
            self.retiring = why
            self.over.set()

    def looked(self, error: str | None) -> None:
        """What a look has shown; after some bad ones it is started again."""
        self.seen = self.seen.after(error)
        if self.breaker == "half-open":
            if error is None:
                self._circuit = Circuit()
                self._on_change()
            else:
                self._failed(error)
        if error is None:
            return
        self._log.warning("backend.look_failed", error=error, failed=self.seen.failed)
        if self.seen.unhealthy(self._config.health):
            self.retire(f"unhealthy: {error}")

    def _failed(self, why: str) -> None:
        before = self._circuit
        self._circuit = before.failed(self._clock.monotonic(), self._config.breaker, why)
        if self._circuit.open_until != before.open_until:
            self._log.warning("breaker.opened", failures=self._circuit.failures, why=why)
            self._on_change()

    def _end_if_retired(self) -> None:
        if self.retiring is not None and self.in_flight <= self._stuck:
            self.over.set()
