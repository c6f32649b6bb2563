"""What the tools of `gated.py` wrote down about themselves."""

from collections.abc import Sequence
from pathlib import Path


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def started(log: Path) -> list[str]:
    """The labels of the calls, in the order they began."""
    return [line.removesuffix(" started") for line in lines(log) if line.endswith("started")]


def at_once(lines: Sequence[str]) -> int:
    """How many ran at the same time, at most."""
    running = most = 0
    for line in lines:
        running += 1 if line.endswith("started") else -1
        most = max(most, running)
    return most
