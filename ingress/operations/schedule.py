"""When a submission is to run: `run_at` or `delay` as people say them. Pure."""

import math
import re
from collections.abc import Mapping
from datetime import datetime

from common.config.duration import parse_duration
from common.jobs.change import Now
from common.jobs.held import RunAt

LATEST = 366 * 86_400  # seconds from now; a date further off is a slip more often than a plan
_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def read_schedule(said: Mapping[str, object], now: float) -> RunAt | None:
    """None: at once, as for a time that is past. `now` is in seconds since the epoch.

    `said` has at most two members, the moment and the delay in this order, named as their caller
    named them; None is nothing said.

    Raises:
        ValueError: It makes no sense, or is too far off; the text says which and how to write it.
    """
    (at_name, at), (delay_name, delay) = said.items()
    if at is not None and delay is not None:
        raise ValueError(f"say {at_name} or {delay_name}, not both")
    if at is not None:
        moment = _moment(at_name, at)
        _check_reach(at_name, moment - now)
        return round(moment * 1000) if moment > now else None
    if delay is None:
        return None
    seconds = _delay(delay_name, delay)
    _check_reach(delay_name, seconds)
    return Now(round(seconds * 1000)) if seconds > 0 else None


def _moment(name: str, value: object) -> float:
    """Seconds since the epoch."""
    if isinstance(value, str) and _RFC3339.fullmatch(value):
        try:
            return datetime.fromisoformat(value.upper()).timestamp()
        except (ValueError, OverflowError):
            pass  # no such day, or no such hour
    raise ValueError(
        f"{name} should be a time as RFC 3339 has it, with its zone: 2026-12-31T23:00:00Z"
    )


def _delay(name: str, value: object) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError:
        seconds = None
    if isinstance(seconds, int | float) and math.isfinite(seconds) and seconds >= 0:
        return float(seconds)
    raise ValueError(f"{name} should be seconds, or a duration as 30s, 10m, 24h or 7d")


def _check_reach(name: str, seconds: float) -> None:
    if seconds > LATEST:
        raise ValueError(f"{name} may be at most {LATEST // 86_400} days from now")
