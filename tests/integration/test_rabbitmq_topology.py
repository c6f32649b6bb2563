"""Queues deleted, adopted, fed by strangers: RabbitMQ as other people leave it."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aio_pika
import anyio
import anyio.lowlevel
import pytest
from structlog.testing import capture_logs
from yarl import URL

from common.brokers.base import Broker, BrokerError, Delivery
from common.brokers.open import open_broker
from common.brokers.rabbitmq.remove import remove_namespace
from common.brokers.rabbitmq.survey import survey
from common.brokers.rabbitmq.topology import Names, names
from common.clock import SystemClock
from common.jobs.token import MalformedTokenError, Token, ToolRef, decode_token
from tests.support.rabbitmq import put_raw
from tests.support.servers import Shared
from tests.support.waiting import PATIENCE, until_answered

pytestmark = pytest.mark.anyio

TOOL = ToolRef(backend="exporter", tool="export_rows", version="1")


def token(job: str) -> Token:
    return Token(job=job, generation=1, version=1, tool=TOOL)


@dataclass
class Place:
    url: str
    names: Names
    broker: Broker

    async def delete_queue(self, queue: str) -> None:
        async with await aio_pika.connect(self.url) as connection:
            await (await connection.channel()).queue_delete(queue)


@pytest.fixture(params=["rabbit", "rabbit43"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    rabbit: Shared = request.getfixturevalue(request.param)
    namespace = f"lht{uuid.uuid4().hex[:8]}"
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(
            open_broker(rabbit.url, namespace=namespace, queue_type="auto", clock=SystemClock())
        )
        stack.push_async_callback(remove_namespace, rabbit.url, namespace, ["work"])
        yield Place(url=rabbit.url, names=Names(namespace=namespace), broker=broker)


async def test_a_consumer_outlives_the_deletion_of_its_queue(place: Place) -> None:
    async with place.broker.consume("work", 1) as consumer:
        with anyio.fail_after(20):
            await place.broker.publish("work", token("before"), 4)
            await (await anext(aiter(consumer))).ack()
            await place.delete_queue(place.names.queue("work"))
            await place.broker.publish("work", token("after"), 4)
            assert decode_token((await anext(aiter(consumer))).raw).job == "after"


async def test_a_publish_makes_a_vanished_queue_again(place: Place) -> None:
    await place.broker.declare("work")
    await place.delete_queue(place.names.queue("work"))
    await place.broker.publish("work", token("j1"), 4)
    depth = await place.broker.depth("work")
    assert depth is not None
    assert depth.ready == 1


async def test_a_vanished_lane_is_made_again(place: Place) -> None:
    await place.delete_queue(place.names.lane(1000))
    await place.broker.park("work", token("j1"), 4, 1.0)
    async with place.broker.consume("work", 1) as consumer:
        with anyio.fail_after(PATIENCE):
            assert decode_token((await anext(aiter(consumer))).raw).job == "j1"


async def test_a_vanished_exchange_is_made_again_under_many_publishes(place: Place) -> None:
    await place.broker.declare("work")
    async with await aio_pika.connect(place.url) as connection:
        await (await connection.channel()).exchange_delete(place.names.jobs)
    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(place.broker.publish, "work", token(f"j{number}"), 4)
    depth = await place.broker.depth("work")
    assert depth is not None
    assert depth.ready >= 50


async def test_an_existing_queue_of_the_other_kind_is_adopted(place: Place) -> None:
    kind = (await survey(place.url)).queue_type
    other = "classic" if kind == "quorum" else "quorum"
    async with await aio_pika.connect(place.url) as connection:
        channel = await connection.channel()
        await channel.declare_queue(
            place.names.queue("work"), durable=True, arguments={"x-queue-type": other}
        )
    with capture_logs() as lines:
        await place.broker.publish("work", token("j1"), 4)
        async with place.broker.consume("work", 1) as consumer:
            with anyio.fail_after(PATIENCE):
                await (await anext(aiter(consumer))).ack()
    assert "queue.adopted" in [line["event"] for line in lines]


async def test_a_queue_that_is_not_as_we_would_make_it_is_used_as_it_is(place: Place) -> None:
    """Refused with PRECONDITION_FAILED, whichever kind we ask for."""
    async with await aio_pika.connect(place.url) as connection:
        await (await connection.channel()).declare_queue(
            place.names.queue("work"), durable=True, arguments={"x-max-length": 7}
        )
    with capture_logs() as lines:
        await place.broker.publish("work", token("j1"), 4)
        async with place.broker.consume("work", 1) as consumer:
            with anyio.fail_after(PATIENCE):
                await (await anext(aiter(consumer))).ack()
    found = [line["found"] for line in lines if line["event"] == "queue.adopted"]
    assert "other arguments" in found


async def test_a_queue_that_is_locked_is_waited_for(place: Place) -> None:
    """Refused with RESOURCE_LOCKED while another connection has it for itself."""
    async with await aio_pika.connect(place.url) as owner:
        await (await owner.channel()).declare_queue(place.names.queue("work"), exclusive=True)
        with pytest.raises(BrokerError, match="RESOURCE_LOCKED"):
            await place.broker.publish("work", token("refused"), 4)
        async with place.broker.consume("work", 1) as consumer:
            await owner.close()
            await until_answered(lambda: published(place, "taken"))
            with anyio.fail_after(20):
                assert decode_token((await anext(aiter(consumer))).raw).job == "taken"


async def published(place: Place, job: str) -> bool:
    try:
        await place.broker.publish("work", token(job), 4)
    except BrokerError:
        return False
    return True


async def test_a_strangers_message_comes_through_as_it_is(place: Place) -> None:
    await place.broker.declare("work")
    await put_raw(place.url, place.names.jobs, "work", b"\xff\x00 no token")
    async with place.broker.consume("work", 1) as consumer:
        with anyio.fail_after(PATIENCE):
            delivery = await anext(aiter(consumer))
        assert delivery.raw == b"\xff\x00 no token"
        assert delivery.priority == 0
        assert abs(delivery.published_at - SystemClock().now()) < 5
        with pytest.raises(MalformedTokenError):
            decode_token(delivery.raw)


async def test_dead_and_unrouted_messages_leave_only_when_they_were_kept(place: Place) -> None:
    await put_raw(place.url, place.names.dead, "work", b"dead")
    await put_raw(place.url, place.names.back, "gone", b"unrouted")
    kept = []

    async def refuse(queue: str, body: bytes) -> None:
        raise OSError(f"{queue} {body!r} cannot be kept now")

    async def keep(queue: str, body: bytes) -> None:
        kept.append((queue, body))

    with pytest.raises(OSError, match="cannot be kept"):
        await place.broker.drain(10, refuse)
    assert await place.broker.drain(1, keep) == 1
    assert await place.broker.drain(10, keep) == 1
    assert kept == [("work", b"dead"), ("gone", b"unrouted")]
    assert await place.broker.drain(10, keep) == 0


async def ack_after(delivery: Delivery, turns: int) -> None:
    for _ in range(turns):
        await anyio.lowlevel.checkpoint()
    await delivery.ack()


async def test_acks_while_a_consumer_is_left_do_not_end_the_connection(place: Place) -> None:
    """A frame behind a channel's close makes the broker close the whole connection."""
    for number in range(400):
        await place.broker.publish("work", token(f"j{number}"), 4)
    with capture_logs() as lines:
        for _ in range(10):
            async with (
                anyio.create_task_group() as group,
                place.broker.consume("work", 40) as consumer,
            ):
                with anyio.fail_after(PATIENCE):
                    held = [await anext(aiter(consumer)) for _ in range(40)]
                for turns, delivery in enumerate(held):
                    group.start_soon(ack_after, delivery, turns)
    lost = [line for line in lines if line["event"] == "broker.unreachable"]
    assert lost == []


async def test_a_wrong_password_is_said_and_never_shown(rabbit: Shared) -> None:
    wrong = str(URL(rabbit.url).with_password("s3cr3t"))
    with pytest.raises(BrokerError, match="ACCESS_REFUSED") as caught:
        await survey(wrong)
    assert "s3cr3t" not in str(caught.value)
    with capture_logs() as lines:
        async with open_broker(
            wrong, namespace="lht", queue_type="auto", clock=SystemClock()
        ) as broker:
            assert broker.unreachable_since is not None
    assert [line["event"] for line in lines] == ["broker.unreachable"]
    assert "s3cr3t" not in str(lines)


async def test_a_footprint_names_everything_that_was_made(place: Place) -> None:
    await place.broker.declare("work")
    made = names(place.names.namespace, ["work"])
    async with await aio_pika.connect(place.url) as connection:
        channel = await connection.channel()
        for queue in made.queues:
            await channel.get_queue(queue)
        for exchange in made.exchanges:
            await channel.get_exchange(exchange)
