"""The `Broker` port's promises, on every implementation."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Literal

import anyio
import anyio.lowlevel
import pytest

from common.brokers.base import LANES_MS, Broker, BrokerError, Consumer, Delivery, Depth, lane_for
from common.brokers.open import open_broker
from common.brokers.rabbitmq.remove import remove_namespace
from common.brokers.rabbitmq.survey import survey
from common.clock import SystemClock
from common.jobs.token import Token, ToolRef, decode_token, encode_token
from tests.support.waiting import PATIENCE, until_answered

pytestmark = pytest.mark.anyio

TOOL = ToolRef(backend="exporter", tool="export_rows", version="1")


def token(job: str) -> Token:
    return Token(job=job, generation=1, version=1, tool=TOOL)


def job_of(delivery: Delivery) -> str:
    return decode_token(delivery.raw).job


@dataclass
class Case:
    """One implementation, and a queue name nobody has used."""

    broker: Broker
    prefetches: bool  # takes up to its slots before anybody asks
    keeps_priorities: bool = True  # quorum queues before 4.3 do not
    queue: str = field(default_factory=lambda: f"work-{uuid.uuid4().hex[:8]}")

    async def publish(self, *jobs: str, priority: int = 4) -> None:
        for job in jobs:
            await self.broker.publish(self.queue, token(job), priority)

    async def depth(self) -> Depth:
        depth = await self.broker.depth(self.queue)
        assert depth is not None
        return depth

    async def ready_becomes(self, count: int) -> None:
        async def reached() -> bool:
            return (await self.depth()).ready == count

        await until_answered(reached)


async def take(consumer: Consumer, count: int) -> list[Delivery]:
    with anyio.fail_after(PATIENCE):
        return [await anext(aiter(consumer)) for _ in range(count)]


async def jobs_acked(consumer: Consumer, count: int) -> list[str]:
    jobs = []
    for _ in range(count):
        [delivery] = await take(consumer, 1)
        jobs.append(job_of(delivery))
        await delivery.ack()
    return jobs


async def comes_not(consumer: Consumer) -> bool:
    """Whether nothing comes, as far as a short wait can tell."""
    with anyio.move_on_after(0.15):
        await anext(aiter(consumer))
        return False
    return True


Kind = Literal["classic", "quorum"]


@pytest.fixture(
    params=["memory", "rabbit", "rabbit quorum", "rabbit43 classic", "rabbit43"],
)
async def case(request: pytest.FixtureRequest) -> AsyncIterator[Case]:
    if request.param == "memory":
        async with open_broker(
            "memory:", namespace="lh", queue_type="auto", clock=SystemClock()
        ) as broker:
            yield Case(broker, prefetches=False)
        return
    server, _, said = request.param.partition(" ")
    url = request.getfixturevalue(server).url
    kind: Kind = "quorum" if said == "quorum" or request.param == "rabbit43" else "classic"
    namespace = f"lht{uuid.uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(
            open_broker(url, namespace=namespace, queue_type=kind, clock=SystemClock())
        )
        known = await survey(url, kind)
        ordered = kind == "classic" or known.quorum_capable
        made = Case(broker, prefetches=True, keeps_priorities=ordered)
        stack.push_async_callback(remove_namespace, url, namespace, [made.queue])
        yield made


async def test_higher_priority_comes_first(case: Case) -> None:
    if not case.keeps_priorities:
        pytest.skip("quorum queues of this RabbitMQ ignore priorities")
    for priority in (2, 9, 0, 4, 8):
        await case.publish(f"p{priority}", priority=priority)
    async with case.broker.consume(case.queue, 1) as consumer:
        assert await jobs_acked(consumer, 5) == ["p9", "p8", "p4", "p2", "p0"]


async def test_one_priority_keeps_the_order_of_publication(case: Case) -> None:
    jobs = [f"j{number}" for number in range(30)]
    await case.publish(*jobs)
    async with case.broker.consume(case.queue, 4) as consumer:
        assert await jobs_acked(consumer, 30) == jobs


async def test_a_consumer_never_holds_more_than_its_slots(case: Case) -> None:
    await case.publish("a", "b", "c", "d")
    async with case.broker.consume(case.queue, 2) as consumer:
        first, _second = await take(consumer, 2)
        assert await comes_not(consumer)
        assert (await case.depth()).ready == 2
        await first.ack()
        [third] = await take(consumer, 1)
        assert job_of(third) == "c"
        assert await comes_not(consumer)


async def test_a_second_ack_of_one_delivery_frees_nothing(case: Case) -> None:
    await case.publish("a", "b", "c")
    async with case.broker.consume(case.queue, 1) as consumer:
        [first] = await take(consumer, 1)
        await first.ack()
        await first.ack()
        [second] = await take(consumer, 1)
        assert not second.redelivered
        assert await comes_not(consumer)
        await second.ack()
        [third] = await take(consumer, 1)
        assert job_of(third) == "c"
        assert not third.redelivered


async def test_what_was_not_acked_comes_again_and_is_marked(case: Case) -> None:
    await case.publish("acked", "held", "waiting")
    async with case.broker.consume(case.queue, 2) as consumer:
        acked, held = await take(consumer, 2)
        assert not held.redelivered
        await acked.ack()
    async with case.broker.consume(case.queue, 2) as consumer:
        again, waiting = await take(consumer, 2)
        assert [job_of(again), job_of(waiting)] == ["held", "waiting"]
        assert again.redelivered
        # The old delivery is stale: its ack says nothing about the new one.
        await held.ack()
    async with case.broker.consume(case.queue, 2) as consumer:
        assert sorted(await jobs_acked(consumer, 2)) == ["held", "waiting"]


async def test_a_stopped_consumer_may_still_ack_what_it_holds(case: Case) -> None:
    await case.publish("held", "left")
    async with case.broker.consume(case.queue, 2) as consumer:
        [held] = await take(consumer, 1)
        await case.ready_becomes(0 if case.prefetches else 1)
        await consumer.stop()
        with anyio.fail_after(PATIENCE):
            assert [job_of(delivery) async for delivery in consumer] == []
        await case.ready_becomes(1)
        await case.publish("later")
        await held.ack()
    async with case.broker.consume(case.queue, 2) as consumer:
        assert await jobs_acked(consumer, 2) == ["left", "later"]
        assert await comes_not(consumer)


async def test_one_token_published_twice_is_delivered_twice(case: Case) -> None:
    await case.publish("same", "same")
    async with case.broker.consume(case.queue, 2) as consumer:
        assert await jobs_acked(consumer, 2) == ["same", "same"]


async def test_a_parked_token_waits_in_its_lane_and_blocks_no_other(case: Case) -> None:
    began = time.monotonic()
    await case.broker.park(case.queue, token("two"), 4, 2.5)
    await anyio.lowlevel.checkpoint()  # a timer for the longer one may be running by now
    await case.broker.park(case.queue, token("one"), 4, 1.0)
    arrived = {}
    async with case.broker.consume(case.queue, 4) as consumer:
        for _ in range(2):
            [delivery] = await take(consumer, 1)
            arrived[job_of(delivery)] = time.monotonic() - began
            assert delivery.priority == 4
            await delivery.ack()
    assert 1.0 <= arrived["one"] < 1.9
    assert 2.0 <= arrived["two"] < 2.9


async def test_depth_counts_what_waits_and_who_takes(case: Case) -> None:
    assert await case.broker.depth(case.queue) is None
    await case.broker.declare(case.queue)
    assert await case.depth() == Depth(ready=0, consumers=0)
    await case.publish("a", "b", "c")
    assert await case.depth() == Depth(ready=3, consumers=0)
    async with case.broker.consume(case.queue, 1) as consumer:
        await take(consumer, 1)
        assert await case.depth() == Depth(ready=2, consumers=1)


async def test_a_thousand_concurrent_publishes_all_arrive(case: Case) -> None:
    jobs = {f"j{number}" for number in range(1000)}
    async with anyio.create_task_group() as group:
        for job in jobs:
            group.start_soon(case.publish, job)
    async with case.broker.consume(case.queue, 64) as consumer:
        assert set(await jobs_acked(consumer, 1000)) == jobs
        # Before the consumer ends: with its channel a quorum queue forgets the acks that it has
        # not applied, when there are more than 32, and has those tokens again.
        assert (await case.depth()).ready == 0


async def test_a_token_arrives_as_it_was_sent(case: Case) -> None:
    sent = Token(job="j1", generation=7, version=3, tool=TOOL, format=99)
    await case.broker.publish(case.queue, sent, 6)
    async with case.broker.consume(case.queue, 1) as consumer:
        [delivery] = await take(consumer, 1)
        assert delivery.queue == case.queue
        assert delivery.raw == encode_token(sent)
        assert delivery.priority == 6
        # AMQP keeps whole seconds.
        assert abs(delivery.published_at - time.time()) < 5


async def test_a_waiting_consumer_is_woken_by_a_publish(case: Case) -> None:
    await case.broker.declare(case.queue)
    async with case.broker.consume(case.queue, 1) as consumer, anyio.create_task_group() as group:
        group.start_soon(case.publish, "a")
        assert await jobs_acked(consumer, 1) == ["a"]
        group.start_soon(case.publish, "b")
        assert await jobs_acked(consumer, 1) == ["b"]


async def test_nothing_is_dead_or_unrouted_at_first(case: Case) -> None:
    async def keep(queue: str, body: bytes) -> None:
        pytest.fail(f"{queue}: {body!r}")

    assert await case.broker.drain(10, keep) == 0
    assert case.broker.unreachable_since is None


async def test_a_closed_broker_takes_nothing(case: Case) -> None:
    await case.broker.aclose()
    with anyio.fail_after(2), pytest.raises(BrokerError):
        await case.publish("late")


@pytest.mark.parametrize(
    ("delay", "lane"),
    [(0.0, 1_000), (1.0, 1_000), (1.999, 1_000), (4.9, 2_000), (60.0, 60_000), (1e6, LANES_MS[-1])],
)
def test_a_lane_is_never_longer_than_the_delay_unless_there_is_none(
    delay: float, lane: int
) -> None:
    assert lane_for(delay) == lane


async def test_an_unknown_broker_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="kafka"):
        async with open_broker(
            "kafka://somewhere", namespace="lh", queue_type="auto", clock=SystemClock()
        ):
            pass
