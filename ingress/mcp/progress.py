"""What a waiting caller is told: the sequence of values, and a heartbeat's words. Pure."""

import math

from common.jobs.head import Head
from common.jobs.state import JobState

NUDGE = 1e-6
LARGEST = 1e300  # beyond it there is no room left to grow


def sequence(last: float | None, value: float | None) -> float:
    """The value to send after `last`: strictly more than it (MCP, Progress), else as it came.

    A tool's own value goes back when it is tried again, and a heartbeat has none: both go out as
    the smallest step up.
    """
    usable = value is not None and abs(value) <= LARGEST  # nan compares false
    if value is not None and usable and (last is None or value > last):
        return value
    if last is None:
        return 0.0
    nudged = last + NUDGE
    return nudged if nudged > last else math.nextafter(last, math.inf)


def describe(head: Head, position: int | None, waited: float, now_ms: int) -> str:
    """A heartbeat's words: where the job stands, and how long its caller has waited (seconds)."""
    match head.state:
        case JobState.RUNNING:
            running = max(0, now_ms - head.started_at) / 1000
            again = f", try {head.tries}" if head.tries > 1 else ""
            return f"running for {seconds(running)}{again}"
        case JobState.HELD if head.not_before > now_ms:
            return f"to start in {seconds((head.not_before - now_ms) / 1000)}"
        case JobState.QUEUED | JobState.HELD:
            return f"queued{_before(position)}, {seconds(waited)}"
        case JobState.WAITING:
            return f"waiting for try {head.tries + 1}, {seconds(waited)}"
        case JobState.INPUT_REQUIRED:
            return f"waiting for an answer, {seconds(waited)}"
        case _:
            return f"{head.state}, {seconds(waited)}"


def seconds(duration: float) -> str:
    return f"{math.floor(duration)} s"


def _before(position: int | None) -> str:
    if position is None:
        return ""
    if position == 0:
        return ", next in line"
    return f", {position} job{'' if position == 1 else 's'} before it"
