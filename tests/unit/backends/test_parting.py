"""Whether the tool of a cancelled call has let go, as far as that can be known."""

import asyncio

import pytest

from workers.backends.parting import Parting

pytestmark = pytest.mark.anyio


async def test_a_call_that_was_not_cancelled_holds_nothing_up() -> None:
    parting = Parting()
    parting.end()
    assert (parting.begun, parting.over) == (False, True)
    assert await parting.let_go(grace=600)


async def test_an_answer_is_letting_go() -> None:
    parting = Parting()
    parting.begin()
    assert (parting.begun, parting.over) == (True, False)
    waiting = asyncio.create_task(parting.let_go(grace=600))
    await asyncio.wait([waiting], timeout=0.01)
    assert not waiting.done()
    parting.end()
    assert await waiting


async def test_silence_is_all_there_is_to_know() -> None:
    parting = Parting()
    parting.begin()
    assert not await parting.let_go(grace=0.01)
    assert not parting.over


async def test_who_goes_on_talking_is_waited_for() -> None:
    parting = Parting()
    parting.begin()
    waiting = asyncio.create_task(parting.let_go(grace=0.2))
    for _ in range(4):
        parting.sign_of_life()
        await asyncio.wait([waiting], timeout=0.1)
    assert not waiting.done()
    assert not await waiting
