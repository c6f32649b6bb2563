"""The RabbitMQ driver may lose a cancel; who was cancelled ends all the same."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aio_pika.abc import TimeoutType
from typing_extensions import override
from yarl import URL

from common.brokers.base import BrokerError
from common.brokers.rabbitmq import connection
from common.brokers.rabbitmq.connection import Connection, bounded
from common.brokers.rabbitmq.link import Link
from common.clock import SystemClock

pytestmark = pytest.mark.anyio


async def swallowed(begun: asyncio.Event) -> None:
    """As the driver's own waiting does on Python 3.11, when the answer comes in that moment."""
    begun.set()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return


async def test_a_cancel_that_was_swallowed_is_raised_when_the_step_has_ended() -> None:
    begun, went_on = asyncio.Event(), False

    async def step() -> None:
        nonlocal went_on
        async with bounded(5, "a step"):
            await swallowed(begun)
        went_on = True

    task = asyncio.create_task(step())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not went_on


async def test_one_that_the_driver_made_an_error_of_is_raised_too() -> None:
    begun = asyncio.Event()

    async def step() -> None:
        async with bounded(5, "a step"):
            await swallowed(begun)
            raise ConnectionError

    task = asyncio.create_task(step())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_step_that_takes_too_long_is_no_cancel() -> None:
    with pytest.raises(BrokerError, match=r"no answer within 0\.01 s"):
        async with bounded(0.01, "a step"):
            await asyncio.Event().wait()


async def test_after_a_cancel_steps_go_on() -> None:
    """What is cleaned up then is not cut short."""
    closed = False

    async def step() -> None:
        nonlocal closed
        try:
            await asyncio.Event().wait()
        finally:
            async with bounded(5, "close"):
                await asyncio.sleep(0)
            closed = True

    task = asyncio.create_task(step())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed


class Unconnected(Connection):
    """Connects to nothing, after what a test has put in the way."""

    first: Callable[[], Awaitable[None]] | None = None
    gone = False

    @override
    async def connect(self, timeout: TimeoutType = None) -> None:
        if self.first is not None:
            await self.first()

    @override
    async def close(self, exc: object = None) -> None:
        self.gone = True


@pytest.mark.parametrize("step", ["connect", "prepare"])
async def test_a_connection_that_came_up_at_a_cancel_is_closed(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whoever drops it lets the broker keep it, until both have lost their heartbeats."""
    begun, made = asyncio.Event(), Unconnected(URL("amqp://127.0.0.1/"))
    if step == "connect":
        made.first = lambda: swallowed(begun)
    monkeypatch.setattr(connection, "Connection", lambda _: made)

    async def prepare(_: Connection) -> None:
        await swallowed(begun)

    link = Link("amqp://127.0.0.1/", role="test", clock=SystemClock(), prepare=prepare)
    task = asyncio.create_task(link.run())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made.gone
