"""Moments as people write them: a time as RFC 3339 has it, or how long ago: `2h`, `7d`. Pure."""

from datetime import datetime, timedelta

from common.config.duration import parse_duration

SAID = "a time as RFC 3339 has it, with its zone (2026-12-31T23:00:00Z), or how long ago (2h, 7d)"

Moment = datetime | timedelta  # a time with its zone, or how long ago


def parse_moment(value: object) -> Moment:
    """Raises: ValueError: It is neither; a number without a unit says nothing."""
    if isinstance(value, str):
        if value.strip()[-1:].isalpha():
            try:
                return timedelta(seconds=float(str(parse_duration(value))))
            except (ValueError, OverflowError):
                pass  # no duration, or one that is longer than any time ago
        try:
            at = datetime.fromisoformat(value.strip().upper())
        except ValueError:
            pass
        else:
            if at.tzinfo is not None:
                return at
    raise ValueError(f"should be {SAID}")


def ms_of(moment: Moment, now: float) -> int:
    """In milliseconds since the epoch; `now` in seconds."""
    if isinstance(moment, timedelta):
        return round((now - moment.total_seconds()) * 1000)
    return round(moment.timestamp() * 1000)
