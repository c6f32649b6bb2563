"""Pace: at most so many in any second, the first ones at once. Pure."""

from common.values import value_type


@value_type(frozen=True, slots=True)
class Pace:
    """`sent` are the times of the newest ones, seconds on one clock."""

    rate: int  # in any second
    sent: tuple[float, ...] = ()

    def wait(self, now: float) -> float:
        """Seconds until one more may go out; 0 for now."""
        if len(self.sent) < self.rate:
            return 0.0
        return max(0.0, self.sent[0] + 1.0 - now)

    def after(self, now: float) -> "Pace":
        """One more went out."""
        return Pace(self.rate, (*self.sent, now)[-self.rate :])
