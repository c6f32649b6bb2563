"""Waiting on a fact, with a deadline: the only way a test lets time pass."""

import time
from collections.abc import Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


async def until(fact: Callable[[], T], *, seconds: float = 10.0, every: float = 0.01) -> T:
    """The first true answer of `fact`; fails when there is none for `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := fact()):
        assert time.monotonic() < deadline, f"not so after {seconds} s: {fact}"
        await anyio.sleep(every)
    return answer
