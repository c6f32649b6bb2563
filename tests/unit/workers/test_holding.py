"""A slot is taken once, waited for only so long, and given back with the ack."""

import asyncio

import pytest

from tests.support.deliveries import a_delivery
from workers.holding import Held

pytestmark = pytest.mark.anyio


async def test_a_slot_that_an_earlier_job_has_is_waited_for_so_long() -> None:
    room = asyncio.Semaphore(1)
    earlier, later = [Held(await a_delivery(), lambda: None, room) for _ in range(2)]
    assert await earlier.take_room(1)
    assert await earlier.take_room(1)  # it has it
    assert not await later.take_room(0.01)
    await earlier.ack()
    await earlier.ack()  # twice is once
    assert await later.take_room(1)
    assert room.locked()


async def test_who_never_took_a_slot_gives_none_back() -> None:
    room = asyncio.Semaphore(1)
    await Held(await a_delivery(), lambda: None, room).ack()
    assert await Held(await a_delivery(), lambda: None, room).take_room(1)
    assert room.locked()
