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


async def test_a_job_keeps_its_slot_with_a_newer_delivery() -> None:
    room = asyncio.Semaphore(1)
    before, after, other = [Held(await a_delivery(), lambda: None, room) for _ in range(3)]
    assert await before.take_room(1)
    after.stand_in_for(before)
    await before.ack()
    assert not await other.take_room(0.01)
    await after.ack()
    assert await other.take_room(1)


async def test_a_slot_too_many_is_given_back_with_the_older_delivery() -> None:
    room = asyncio.Semaphore(2)
    before, after = [Held(await a_delivery(), lambda: None, room) for _ in range(2)]
    assert [await each.take_room(1) for each in (before, after)] == [True, True]
    after.stand_in_for(before)
    await before.ack()
    assert not room.locked()
    await after.ack()
    assert await Held(await a_delivery(), lambda: None, room).take_room(1)
    assert not room.locked()
