"""A link whose end and whose cancelled call come in the same moment."""

import asyncio

import pytest

from tests.support.backends.pools import Heard
from workers.backends.base import NotStarted
from workers.backends.duplex import DuplexLink
from workers.backends.link import Hearing
from workers.backends.parting import Parting

pytestmark = pytest.mark.anyio


class Silence:
    """A wire to somebody who says nothing."""

    async def send(self, data: bytes) -> None: ...

    def say(self, data: bytes) -> None: ...


async def test_nobody_waits_for_what_a_lost_link_could_say_of_a_cancelled_call() -> None:
    """Whoever saw it off would wait for ever, with its slot and its place."""
    link = DuplexLink("b", Hearing("b", lambda: None))
    link.attach(Silence())
    before, after = Parting(), Parting()
    calls = [
        asyncio.create_task(link.request("tools/call", {}, listener=Heard(), parting=each))
        for each in (before, after)
    ]
    await asyncio.sleep(0)  # both are asked
    calls[0].cancel()
    await asyncio.wait(calls[:1])
    assert (before.begun, before.over) == (True, False)
    link.lose("its process ended")
    calls[1].cancel()  # before it could learn that
    await asyncio.wait(calls)
    assert (before.over, after.over) == (True, True)
    with pytest.raises(NotStarted):
        await link.request("ping", {})
