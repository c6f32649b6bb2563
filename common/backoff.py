"""Waiting longer after each failure, with jitter, so that many do not come back at once."""

import random


class Backoff:
    """Delays in seconds: from `first`, doubling to `limit`, each between half and all of it."""

    def __init__(self, *, first: float, limit: float) -> None:
        self._first = first
        self._limit = limit
        self.attempts = 0

    def next(self) -> float:
        delay = min(self._limit, self._first * 2.0 ** min(self.attempts, 30))
        self.attempts += 1
        return delay * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        self.attempts = 0
