"""Wear: when a replica has served long enough, and is replaced by a fresh one."""

import asyncio
from collections.abc import Callable

from common.clock import Clock
from common.config.model import Recycle
from workers.backends.memory import group_memory

LOOK = 10.0  # seconds between two looks at its age and memory
MEGABYTE = 1_000_000


def worn_by_calls(rule: Recycle, calls: int) -> str | None:
    """Why it should be replaced; None while it need not. Pure."""
    if rule.calls is None or calls < rule.calls:
        return None
    return f"it has served {calls} calls"


async def watch_wear(
    rule: Recycle, pid: int | None, clock: Clock, worn: Callable[[str], None]
) -> None:
    """Say once that it is too old or too large; returns then. A replica at a URL is neither."""
    born = clock.monotonic()
    if pid is None or (rule.age is None and rule.memory is None):
        return
    while True:
        age = clock.monotonic() - born
        if rule.age is not None and age >= rule.age:
            worn(f"it is {age:.0f} s old")
            return
        if rule.memory is not None:
            bytes_held = await asyncio.to_thread(group_memory, pid)
            if bytes_held is not None and bytes_held > rule.memory * MEGABYTE:
                worn(f"it takes {bytes_held // MEGABYTE} MB of memory")
                return
        left = LOOK if rule.age is None else rule.age - age
        await clock.sleep(min(LOOK, left))
