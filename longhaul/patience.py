"""How long a command waits: in all, and for a router that went away, as it does for a restart."""

from common.clock import Clock
from longhaul.client import STREAM_SILENCE

PATIENCE = 60.0  # seconds for a router to come back
SOON = 1.0  # seconds away until it is said; shorter is an ordinary reconnection


class Patience:
    """`timeout` is for all of it, `away` for a router that went away; both in seconds."""

    def __init__(self, clock: Clock, away: float = PATIENCE, timeout: float | None = None) -> None:
        self._now = clock.monotonic
        self.away = away
        self._deadline = None if timeout is None else self._now() + timeout
        self._lost_at: float | None = None
        self.answered = False
        self._told = False

    @property
    def over(self) -> bool:
        return self._deadline is not None and self._now() >= self._deadline

    @property
    def silence(self) -> float:
        if self._deadline is None:
            return STREAM_SILENCE
        return min(STREAM_SILENCE, max(0.1, self._deadline - self._now()))

    def heard(self) -> None:
        """It answers, though perhaps with nothing new for long."""
        self._lost_at = None
        self._told = False
        self.answered = True

    def may_come_back(self, *, reached: bool) -> bool:
        """A router that never answered will not; one that did has a while."""
        if self._lost_at is None:
            self._lost_at = self._now()
            return reached or self.answered
        return self._now() - self._lost_at < self.away

    def tells(self) -> bool:
        """It is away for so long that a person wants to know; once for each time."""
        tells = not self._told and self._lost_at is not None and self._now() - self._lost_at >= SOON
        self._told = self._told or tells
        return tells
