"""A cancel that the driver loses while it opens a channel: no channel stays open after it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aio_pika
import pytest
from typing_extensions import override

from common.brokers.base import Broker
from common.brokers.open import open_broker
from common.clock import SystemClock
from tests.support.namespaces import Namespace
from tests.support.servers import Shared

pytestmark = pytest.mark.anyio


@dataclass
class Opened:
    """The channels of this test; the one that is opened next loses a cancel."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    channels: list[aio_pika.Channel] = field(default_factory=list)


@pytest.fixture
async def broker(rabbit: Shared, namespace: Namespace) -> AsyncIterator[Broker]:
    namespace.queues.add("b")
    async with open_broker(
        rabbit.url, namespace=namespace, queue_type="auto", clock=SystemClock()
    ) as broker:
        await broker.declare("b")
        yield broker


@pytest.fixture
def opened(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Opened:
    assert broker.unreachable_since is None  # what is opened from here on is the test's
    opened = Opened()

    class Losing(aio_pika.Channel):
        @override
        async def initialize(self, *args: Any) -> None:
            opened.channels.append(self)
            if not opened.begun.is_set():
                opened.begun.set()
                await swallowed()
            await super().initialize(*args)

    monkeypatch.setattr(aio_pika.Connection, "CHANNEL_CLASS", Losing)
    return opened


async def swallowed() -> None:
    """As the driver's own waiting does on Python 3.11, when the answer comes in that moment."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return


async def test_while_strays_are_drained(broker: Broker, opened: Opened) -> None:
    async def handle(_queue: str, _raw: bytes) -> None:
        raise AssertionError("nobody sent anything")

    task = asyncio.create_task(broker.drain(1, handle))
    await opened.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [channel.is_closed for channel in opened.channels] == [True]


async def test_while_consuming_begins(broker: Broker, opened: Opened) -> None:
    """One that stayed open would be given tokens that nobody takes."""
    async with broker.consume("b", 1):
        await opened.begun.wait()
    assert [channel.is_closed for channel in opened.channels] == [True, True]
