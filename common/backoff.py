"""Waiting longer after each failure, with jitter, so that many do not come back at once."""

import random


def delay_after(failures: int, *, first: float, limit: float) -> float:
    """Seconds to wait, after so many failures before this one.

    `first`, doubled by each of them up to `limit`; between half and all of that.
    """
    return min(limit, first * 2.0 ** min(failures, 30)) * random.uniform(0.5, 1.0)


class Backoff:
    """The delays of one wait after another, which counts its failures itself."""

    def __init__(self, *, first: float, limit: float) -> None:
        self._first = first
        self._limit = limit
        self.attempts = 0

    def next(self) -> float:
        self.attempts += 1
        return delay_after(self.attempts - 1, first=self._first, limit=self._limit)

    def reset(self) -> None:
        self.attempts = 0
