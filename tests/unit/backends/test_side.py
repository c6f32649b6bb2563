"""Tasks beside a connection, where it ends at once."""

import asyncio
import gc

import pytest

from workers.backends.side import Side

pytestmark = pytest.mark.anyio


async def test_what_ends_before_it_has_begun_leaves_nothing() -> None:
    """Warnings are errors here, also that a coroutine was never awaited."""
    side = Side("b")
    began = asyncio.Event()

    async def begin() -> None:
        began.set()

    side.start(begin())
    await side.aclose()
    gc.collect()
    assert not began.is_set()
