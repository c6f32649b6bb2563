"""The retry budget of each backend in this worker: retries must not drown what they wait for.

Every call earns its backend a share of a retry, and every minute some more. A retry over the budget
is never lost: it waits until it would have been earned, each next one longer.
"""

from collections.abc import Iterable

from common.clock import Clock
from common.config.model import Backend, RetryBudget

LONGEST_WAIT_S = 3_600.0  # over the budget, however far


class Budget:
    """One backend's. It begins with a minute's worth, and saves no more than that."""

    def __init__(self, settings: RetryBudget, clock: Clock) -> None:
        self._share = settings.share
        self._most = float(settings.floor)
        self._per_second = settings.floor / 60
        self._clock = clock
        self._balance = self._most
        self._at = clock.monotonic()

    def called(self) -> None:
        """A call was written to the backend."""
        self._balance = min(self._most, self._now() + self._share)

    def take(self) -> float:
        """For one retry; how many seconds it must wait beside its own delay."""
        self._balance = self._now() - 1
        return min(LONGEST_WAIT_S, max(0.0, -self._balance / self._per_second))

    def give_back(self) -> None:
        """What was taken was not used."""
        self._balance = min(self._most, self._now() + 1)

    def _now(self) -> float:
        now = self._clock.monotonic()
        self._balance = min(self._most, self._balance + (now - self._at) * self._per_second)
        self._at = now
        return self._balance


class Draw:
    """What one settlement takes of a budget: once at most, however often it decides anew."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._taken = False
        self.over = 0.0  # seconds to wait beside the delay of the retry

    def take(self) -> bool:
        """Whether the retry has to wait longer."""
        if not self._taken:
            self._taken = True
            self.over = self._budget.take()
        return self.over > 0

    def close(self, *, used: bool) -> None:
        if self._taken and not used:
            self._budget.give_back()


class Budgets:
    def __init__(self, backends: Iterable[Backend], clock: Clock) -> None:
        self._clock = clock
        self._budgets = {each.name: Budget(each.retry_budget, clock) for each in backends}

    def of(self, backend: str) -> Budget:
        if backend not in self._budgets:  # known to the record alone
            self._budgets[backend] = Budget(RetryBudget(), self._clock)
        return self._budgets[backend]
