"""The breaker of one replica: whether it gets calls, by how the last ones went. Pure.

A tool's own error is no failure: whoever answers works. Times are of the monotonic clock, seconds.
"""

from dataclasses import replace
from typing import Literal

from common.config.model import Breaker
from common.values import value_type

BreakerState = Literal["closed", "open", "half-open"]


@value_type(frozen=True, slots=True, kw_only=True)
class Circuit:
    failures: int = 0  # in a row
    open_until: float | None = None  # None: closed; in the past: half-open
    on_trial: bool = False  # half-open, and the one call that tries it is under way
    why: str = ""  # of the newest failure

    def state(self, now: float) -> BreakerState:
        if self.open_until is None:
            return "closed"
        return "open" if now < self.open_until else "half-open"

    def admits(self, now: float) -> bool:
        """Whether one more call may go through."""
        state = self.state(now)
        return state == "closed" or (state == "half-open" and not self.on_trial)

    def begun(self, now: float) -> "Circuit":
        """A call goes through; half-open it is the trial."""
        return replace(self, on_trial=True) if self.state(now) == "half-open" else self

    def went_well(self, now: float) -> "Circuit":
        """What began before it opened says nothing about how it is now."""
        return self if self.state(now) == "open" else CLOSED

    def failed(self, now: float, rule: Breaker, why: str) -> "Circuit":
        if self.state(now) == "open":
            return self
        failures = self.failures + 1
        if self.state(now) == "closed" and failures < rule.failures:
            return replace(self, failures=failures, why=why)
        return Circuit(failures=failures, open_until=now + rule.cooldown, why=why)

    def gave_up(self) -> "Circuit":
        """The trial was cancelled before it could show anything: another call may be the trial."""
        return replace(self, on_trial=False)


CLOSED = Circuit()
