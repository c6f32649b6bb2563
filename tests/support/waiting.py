"""Waiting on a fact, with a deadline: the only way a test lets time pass."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")

# Seconds. Where no promise is measured: a machine whose disk stands still for ten of them fails no
# test for it.
PATIENCE = 30.0


async def until(fact: Callable[[], T], *, seconds: float = PATIENCE, every: float = 0.01) -> T:
    """The first true answer of `fact`; fails when there is none for `seconds`."""
    deadline = time.monotonic() + seconds
    while not (answer := fact()):
        assert time.monotonic() < deadline, f"not so after {seconds} s: {fact}"
        await anyio.sleep(every)
    return answer


async def until_answered(
    ask: Callable[[], Awaitable[T]], *, seconds: float = PATIENCE, every: float = 0.01
) -> T:
    """As `until`, for a fact that has to be asked for."""
    deadline = time.monotonic() + seconds
    while not (answer := await ask()):
        assert time.monotonic() < deadline, f"not so after {seconds} s: {ask}"
        await anyio.sleep(every)
    return answer


def wait_for(fact: Callable[[], T], *, seconds: float = PATIENCE, every: float = 0.02) -> T:
    """`until` for code that runs outside an event loop."""
    deadline = time.monotonic() + seconds
    while not (answer := fact()):
        assert time.monotonic() < deadline, f"not so after {seconds} s: {fact}"
        time.sleep(every)
    return answer
