"""RabbitMQ killed, missing, blocked: what our links, publisher and consumer make of it."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import anyio
import anyio.to_thread
import pytest
from structlog.testing import capture_logs

from common.brokers.base import Broker, BrokerError, Consumer, Delivery
from common.brokers.open import open_broker
from common.brokers.rabbitmq import broker as rabbit
from common.clock import SystemClock
from common.jobs.token import Token, ToolRef, decode_token
from tests.support.links import linked
from tests.support.private import PrivateServer
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio

TOOL = ToolRef(backend="exporter", tool="export_rows", version="1")


def token(job: str) -> Token:
    return Token(job=job, generation=1, version=1, tool=TOOL)


@pytest.fixture
async def broker(private_rabbit: PrivateServer) -> AsyncIterator[Broker]:
    async with open_broker(
        private_rabbit.url, namespace="lht", queue_type="auto", clock=SystemClock()
    ) as broker:
        yield broker


async def kill(server: PrivateServer) -> None:
    await anyio.to_thread.run_sync(server.kill)


async def start(server: PrivateServer) -> None:
    await anyio.to_thread.run_sync(server.start)


@dataclass
class Traffic:
    """A publisher that repeats what was not confirmed, and a consumer that acks."""

    broker: Broker
    confirmed: list[str] = field(default_factory=list)
    received: set[str] = field(default_factory=set)
    enough: bool = False

    async def publish(self) -> None:
        number = 0
        while not self.enough:
            job = f"j{number}"
            try:
                await self.broker.publish("traffic", token(job), 4)
            except BrokerError:
                await anyio.sleep(0.05)
            else:
                self.confirmed.append(job)
                number += 1

    async def consume(self) -> None:
        async with self.broker.consume("traffic", 4) as consumer:
            async for delivery in consumer:
                self.received.add(decode_token(delivery.raw).job)
                await delivery.ack()

    def all_arrived(self) -> bool:
        return self.received >= set(self.confirmed)


async def test_what_was_confirmed_arrives_though_the_broker_is_killed(
    private_rabbit: PrivateServer, broker: Broker
) -> None:
    traffic = Traffic(broker)
    await broker.publish("held", token("held"), 4)
    with capture_logs() as lines:
        async with anyio.create_task_group() as group, broker.consume("held", 1) as holder:
            group.start_soon(traffic.publish)
            group.start_soon(traffic.consume)
            before = await anext(aiter(holder))
            await until(lambda: len(traffic.received) > 50)
            await kill(private_rabbit)
            await until(lambda: broker.unreachable_since)
            confirmed = len(traffic.confirmed)
            await start(private_rabbit)
            await until(lambda: len(traffic.confirmed) > confirmed + 50, seconds=20)
            traffic.enough = True
            await until(traffic.all_arrived, seconds=20)
            await what_was_held_comes_again(broker, holder, before)
            group.cancel_scope.cancel()
    assert broker.unreachable_since is None
    of_publishing = [line["event"] for line in lines if line.get("connection") == "publish"]
    assert of_publishing == ["broker.unreachable", "broker.connected"]


async def what_was_held_comes_again(broker: Broker, holder: Consumer, before: Delivery) -> None:
    with anyio.fail_after(PATIENCE):
        after = await anext(aiter(holder))
        assert decode_token(after.raw).job == "held"
        assert after.redelivered
        await before.ack()  # stale: says nothing about the new one
        await after.ack()
        await broker.publish("held", token("next"), 4)
        assert decode_token((await anext(aiter(holder))).raw).job == "next"


async def test_a_broker_that_is_down_at_start_is_waited_for(private_rabbit: PrivateServer) -> None:
    await kill(private_rabbit)
    async with open_broker(
        private_rabbit.url, namespace="lht", queue_type="auto", clock=SystemClock()
    ) as broker:
        assert broker.unreachable_since is not None
        began = time.monotonic()
        with pytest.raises(BrokerError, match="not reachable"):
            await broker.publish("early", token("lost"), 4)
        with pytest.raises(BrokerError, match="not reachable"):
            await broker.depth("early")
        assert time.monotonic() - began < 2
        async with broker.consume("early", 1) as consumer, anyio.create_task_group() as group:

            async def publish_when_up() -> None:
                await start(private_rabbit)
                await until(lambda: broker.unreachable_since is None)
                await broker.publish("early", token("kept"), 4)

            group.start_soon(publish_when_up)
            with anyio.fail_after(40):
                assert decode_token((await anext(aiter(consumer))).raw).job == "kept"


async def test_a_broker_that_confirms_nothing_is_reported_until_it_does(
    private_rabbit: PrivateServer, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As under a memory alarm: the connection stays, and nothing is answered."""
    monkeypatch.setattr(rabbit, "PUBLISH_WITHIN", 1.0)
    monkeypatch.setattr(rabbit, "PUBLISH_WITHIN_STALLED", 0.3)
    await broker.declare("blocked")
    private_rabbit.pause()
    try:
        with pytest.raises(BrokerError, match="not confirmed within 1 s"):
            await broker.publish("blocked", token("j1"), 4)
        assert broker.unreachable_since is not None
        with pytest.raises(BrokerError, match=r"not confirmed within 0.3 s"):
            await broker.publish("blocked", token("j1"), 4)
    finally:
        private_rabbit.resume()
    monkeypatch.undo()
    await broker.publish("blocked", token("j2"), 4)
    assert broker.unreachable_since is None


async def test_a_broker_whose_answers_come_in_small_pieces(private_rabbit: PrivateServer) -> None:
    """The handshake, too."""
    async with linked(private_rabbit.url) as link:
        link.slow_down(0.002, piece=50)
        async with (
            open_broker(
                link.url, namespace="lht", queue_type="auto", clock=SystemClock()
            ) as broker,
            broker.consume("pieces", 1) as consumer,
        ):
            with anyio.fail_after(30):
                await broker.publish("pieces", token("j1"), 4)
                delivery = await anext(aiter(consumer))
            assert decode_token(delivery.raw).job == "j1"
            await delivery.ack()


async def test_a_broker_that_reads_nothing_is_left_all_the_same(
    private_rabbit: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the socket did not take would otherwise be waited for, for as long as that lasts."""
    monkeypatch.setattr(rabbit, "PUBLISH_WITHIN", 2.0)
    long_named = ToolRef(backend="exporter", tool="t" * 60_000, version="1")
    large = Token(job="j", generation=1, version=1, tool=long_named)
    async with linked(private_rabbit.url) as link, AsyncExitStack() as leaving:
        broker = await leaving.enter_async_context(
            open_broker(link.url, namespace="lht", queue_type="auto", clock=SystemClock())
        )
        await broker.publish("blocked", large, 4)
        link.hold()
        async with anyio.create_task_group() as group:
            for _ in range(500):  # 30 MB: more than the sockets on the way take
                group.start_soon(refused, broker, large)
        with anyio.fail_after(6):
            await leaving.aclose()


async def refused(broker: Broker, refused: Token) -> None:
    with pytest.raises(BrokerError):
        await broker.publish("blocked", refused, 4)
