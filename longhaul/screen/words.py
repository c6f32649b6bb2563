"""Times, numbers and states as people read them."""

from datetime import UTC, datetime

from common.clock import SystemClock

STATE_STYLE = {
    "held": "dim",
    "queued": "cyan",
    "running": "bold blue",
    "waiting": "yellow",
    "input_required": "magenta",
    "completed": "green",
    "failed": "red",
    "cancelled": "dim",
    "lost": "bold red",
    "dead": "bold red",
}
BACKEND_STYLE = {
    "ready": "green",
    "degraded": "yellow",
    "starting": "cyan",
    "breaker open": "bold red",
    "down": "bold red",
    "backoff": "yellow",
    "stopped": "dim",
    "no worker": "yellow",
    "disabled": "dim",
}


def span(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min`, `2 h 5 min`, `4 d`."""
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // (24 * 60)} d"


def ago(when: str | None, at: datetime) -> str:
    return "-" if when is None else f"{span((at - moment(when)).total_seconds())} ago"


def now() -> datetime:
    return datetime.fromtimestamp(SystemClock().now(), UTC)


def moment(when: str) -> datetime:
    return datetime.fromisoformat(when).astimezone(UTC)


def lasted(started: str | None, finished: str | None, at: datetime) -> str:
    """How long a run took, or takes so far."""
    if started is None:
        return "-"
    end = at if finished is None else moment(finished)
    return span((end - moment(started)).total_seconds())


def local_time(when: str | None) -> str:
    """In the reader's own time zone, to the second."""
    return "-" if when is None else moment(when).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(count: int) -> str:
    if count < 1024:
        return f"{count} bytes"
    return f"{count / 1024:.0f} kB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f} MB"


def first_line(text: str | None, limit: int = 100) -> str:
    line = next((line.strip() for line in (text or "").splitlines() if line.strip()), "")
    return line if len(line) <= limit else line[: limit - 1] + "…"
