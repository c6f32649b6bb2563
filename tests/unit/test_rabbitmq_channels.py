"""What becomes of those who wait for frames: publications, and deliveries that are to be acked."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from aiormq import spec
from pamqp.body import ContentBody
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from common.brokers.base import BrokerError
from common.brokers.rabbitmq.publisher import ConfirmChannel, ExchangeGoneError, UnroutableError
from common.brokers.rabbitmq.session import RabbitDelivery, Session
from tests.support.wires import OURS, Line, delivery

pytestmark = pytest.mark.anyio


class Publishing(Line):
    """A confirm channel on a wire, with publications under way."""

    def __init__(self) -> None:
        super().__init__()
        self.channel = ConfirmChannel(self.wire, OURS, 4096)

    async def publish(self, *ids: str) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self._publish(each)) for each in ids]
        await asyncio.sleep(0)
        return tasks

    def returns(self, message_id: str) -> None:
        body = b"token"
        self.comes(
            spec.Basic.Return(reply_code=312, reply_text="NO_ROUTE", exchange="", routing_key="q"),
            ContentHeader(
                body_size=len(body), properties=spec.Basic.Properties(message_id=message_id)
            ),
            ContentBody(body),
        )

    async def _publish(self, message_id: str) -> None:
        await self.channel.publish("jobs", "q", b"token", message_id=message_id, priority=5, at=1.5)


async def ends(tasks: list[asyncio.Task[None]]) -> list[object]:
    """Of those that have ended: None, or the type of the error."""
    await asyncio.sleep(0)
    return [type(error) if (error := task.exception()) else None for task in tasks if task.done()]


async def test_a_confirm_ends_the_publication_it_is_for() -> None:
    line = Publishing()
    tasks = await line.publish("a", "b", "c")
    line.comes(spec.Basic.Ack(delivery_tag=2))
    await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [False, True, False]
    line.comes(spec.Basic.Ack(delivery_tag=3, multiple=True))
    assert await ends(tasks) == [None, None, None]


async def test_a_refused_publication_is_an_error() -> None:
    line = Publishing()
    tasks = await line.publish("a", "b")
    line.comes(spec.Basic.Nack(delivery_tag=2, multiple=True))
    assert await ends(tasks) == [BrokerError, BrokerError]


async def test_what_comes_back_was_taken_by_nobody_although_it_is_confirmed() -> None:
    line = Publishing()
    tasks = await line.publish("a", "b", "c")
    line.returns("b")
    line.comes(spec.Basic.Ack(delivery_tag=3, multiple=True))
    assert await ends(tasks) == [None, UnroutableError, None]


async def test_of_a_token_that_is_out_twice_both_may_come_back() -> None:
    line = Publishing()
    tasks = await line.publish("a", "a", "a")
    line.returns("a")
    line.returns("a")
    line.comes(*(spec.Basic.Ack(delivery_tag=tag) for tag in (1, 2, 3)))
    assert await ends(tasks) == [UnroutableError, UnroutableError, None]


@pytest.mark.parametrize(("code", "error"), [(404, ExchangeGoneError), (406, BrokerError)])
async def test_a_channel_that_the_broker_closes(code: int, error: type[Exception]) -> None:
    """What was under way hears why, the driver answers it, and nothing is written any more."""
    line = Publishing()
    tasks = await line.publish("a", "b")
    closed = spec.Channel.Close(reply_code=code, reply_text="gone", class_id=60, method_id=40)
    line.comes(closed)
    assert await ends(tasks) == [error, error]
    line.out.written = b""
    late = await line.publish("c")
    assert await ends(late) == [ConnectionResetError]
    assert (line.out.written, await line.driver_read()) == (b"", marshal(closed, OURS))


async def test_a_lost_connection_ends_what_was_under_way() -> None:
    line = Publishing()
    tasks = await line.publish("a", "b")
    line.wire.connection_lost(None)
    assert await ends(tasks) == [ConnectionResetError, ConnectionResetError]


async def test_a_cancelled_publication_may_be_confirmed_late() -> None:
    line = Publishing()
    gone, stays = await line.publish("a", "b")
    gone.cancel()
    line.comes(spec.Basic.Ack(delivery_tag=2, multiple=True))
    assert await ends([stays]) == [None]


async def test_nothing_piles_up_before_a_broker_that_reads_nothing() -> None:
    line = Publishing()
    line.wire.pause_writing()
    tasks = await line.publish(*map(str, range(1000)))
    assert line.out.written == b""
    line.wire.resume_writing()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    line.comes(spec.Basic.Ack(delivery_tag=1000, multiple=True))
    assert await ends(tasks) == [None] * 1000


async def test_who_waits_to_write_hears_of_a_lost_connection() -> None:
    line = Publishing()
    line.wire.pause_writing()
    tasks = await line.publish("a")
    line.wire.connection_lost(None)
    await asyncio.sleep(0)
    assert await ends(tasks) == [ConnectionResetError]


class Channel:
    """The driver's, as far as a session looks at it."""

    number = OURS

    def __init__(self) -> None:
        self.on_consumer_cancel_callbacks: set[object] = set()
        self.close_callbacks: set[object] = set()
        self.cancelling: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def basic_cancel(self, _: str) -> None:
        await self.cancelling


class Consuming(Line):
    """A session on a wire, and what has arrived on it."""

    def __init__(self) -> None:
        super().__init__()
        self.channel = Channel()
        self.arrived: list[RabbitDelivery] = []
        driver: Any = self.channel
        self.session = Session(
            self.wire,
            driver,
            driver,
            queue="q",
            arrived=self.arrived.append,
            now=lambda: 17.5,
        )
        self.session.listen()

    def delivers(self, *parts: bytes, tag: int = 1, **properties: Any) -> None:
        self.wire.data_received(delivery(tag))
        size = sum(map(len, parts))
        self.comes(
            ContentHeader(body_size=size, properties=spec.Basic.Properties(**properties)),
            *(ContentBody(part) for part in parts),
        )


async def test_a_message_is_delivered_when_all_of_it_is_there() -> None:
    line = Consuming()
    line.delivers(
        b"in ", b"three ", b"parts", tag=7, priority=4, timestamp=datetime(2026, 1, 1, tzinfo=UTC)
    )
    line.delivers(tag=8)
    first, second = line.arrived
    assert (first.tag, first.raw, first.priority) == (7, b"in three parts", 4)
    assert first.published_at == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert (second.tag, second.raw, second.priority, second.published_at) == (8, b"", 0, 17.5)


async def test_a_delivery_is_acked_once() -> None:
    line = Consuming()
    line.delivers(b"token", tag=7)
    await line.arrived[0].ack()
    await line.arrived[0].ack()
    assert line.out.written == marshal(spec.Basic.Ack(delivery_tag=7), OURS)


@pytest.mark.parametrize(
    "end",
    [
        spec.Channel.Close(reply_code=406, reply_text="", class_id=0, method_id=0),
        spec.Channel.CloseOk(),
    ],
)
async def test_nothing_is_settled_on_a_channel_that_has_ended(end: Any) -> None:
    """The broker would close the connection for it."""
    line = Consuming()
    line.delivers(b"token", tag=7)
    line.comes(end)
    await line.arrived[0].ack()
    line.session.give_back(7)
    assert line.session.ended.is_set()
    assert (line.out.written, await line.driver_read()) == (b"", marshal(end, OURS))


async def test_what_a_session_that_ended_is_still_sent_is_for_nobody() -> None:
    line = Consuming()
    line.session.ended.set()
    line.delivers(b"token")
    assert (line.arrived, await line.driver_read()) == ([], b"")


async def test_a_cancel_that_the_broker_does_not_answer_ends_the_session() -> None:
    """The driver closes the channel then, and no ack may come behind that."""
    line = Consuming()
    line.delivers(b"token", tag=7)
    cancelling = asyncio.create_task(line.session.cancel("q"))
    await asyncio.sleep(0)
    cancelling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelling
    await line.arrived[0].ack()
    assert line.out.written == b""
