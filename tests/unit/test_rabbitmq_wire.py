"""Which frames go past the driver, and what becomes of those who wait for them."""

import asyncio
from typing import Any

import pytest
from aiormq import spec
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.frame import marshal, unmarshal
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat
from typing_extensions import override

from common.brokers.base import BrokerError
from common.brokers.rabbitmq import frames
from common.brokers.rabbitmq.publisher import ConfirmChannel, ExchangeGoneError, UnroutableError
from common.brokers.rabbitmq.wire import Wire

pytestmark = pytest.mark.anyio

OURS, DRIVERS = 2, 1  # channels


class Out(asyncio.Transport):
    """Where a wire writes to."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    @override
    def write(self, data: Any) -> None:
        self.written += data

    @override
    def is_closing(self) -> bool:
        return False


class Taking:
    """A receiver that takes deliveries, and leaves the rest to the driver."""

    def __init__(self) -> None:
        self.tags: list[int] = []
        self.is_lost = False

    def take(self, kind: int, data: bytes, at: int) -> bool:
        if kind != frames.METHOD or frames.method_of(data, at) != frames.DELIVER:
            return False
        self.tags.append(frames.read_delivery(data, at)[0])
        return True

    def lost(self) -> None:
        self.is_lost = True


class Line:
    """A wire, what it writes, and what its driver reads."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self.wire = Wire(self.reader)
        self.out = Out()
        self.wire.connection_made(self.out)

    def comes(self, *said: Any, channel: int = OURS) -> None:
        self.wire.data_received(b"".join(marshal(frame, channel) for frame in said))

    async def driver_read(self) -> bytes:
        self.reader.feed_eof()
        return await self.reader.read()


def delivery(tag: int) -> bytes:
    return marshal(
        spec.Basic.Deliver(consumer_tag="c", delivery_tag=tag, exchange="", routing_key="q"), OURS
    )


@given(cuts=st.lists(st.integers(1, 40), max_size=30))
async def test_frames_may_come_in_any_pieces(cuts: list[int]) -> None:
    line, receiver = Line(), Taking()
    line.wire.attach(OURS, receiver)
    others = [
        marshal(spec.Basic.QosOk(), OURS),
        marshal(spec.Queue.DeclareOk(queue="q", message_count=1, consumer_count=2), DRIVERS),
        marshal(spec.Connection.Blocked(reason="memory"), 0),
    ]
    data = delivery(1) + others[0] + others[1] + delivery(2) + others[2] + delivery(3)
    while data:
        cut = cuts.pop() if cuts else len(data)
        line.wire.data_received(data[:cut])
        data = data[cut:]
    heard = (await line.driver_read()).replace(frames.EMPTY_HEARTBEAT, b"")
    assert (receiver.tags, heard) == ([1, 2, 3], b"".join(others))


async def test_the_answer_to_a_wrong_version_goes_to_the_driver_whole() -> None:
    line = Line()
    line.wire.data_received(b"AMQP\0\0\x09\1")
    line.wire.data_received(b"!")
    assert await line.driver_read() == b"AMQP\0\0\x09\1!"


async def test_frames_that_do_not_end_as_frames_are_the_drivers_to_refuse() -> None:
    line, receiver = Line(), Taking()
    line.wire.attach(OURS, receiver)
    broken = delivery(1)[:-1] + b"x" + delivery(2)
    line.wire.data_received(broken)
    assert (receiver.tags, await line.driver_read()) == ([], broken)


async def test_a_driver_that_is_sent_nothing_hears_that_the_broker_lives() -> None:
    """A broker that sends messages sends no heartbeats; without them the driver gives it up."""
    line = Line()
    line.wire.attach(OURS, Taking())
    for tag in range(5):
        line.wire.data_received(delivery(tag))
    _, _, heard = unmarshal(await line.driver_read())
    assert isinstance(heard, Heartbeat)


async def test_a_detached_channel_is_the_drivers() -> None:
    line, receiver = Line(), Taking()
    line.wire.attach(OURS, receiver)
    line.wire.detach(OURS)
    line.wire.data_received(delivery(1))
    assert (receiver.tags, await line.driver_read()) == ([], delivery(1))


@pytest.mark.parametrize("end", ["eof", "lost"])
async def test_receivers_hear_that_the_connection_is_gone(end: str) -> None:
    line, receiver = Line(), Taking()
    line.wire.attach(OURS, receiver)
    if end == "eof":
        line.wire.eof_received()
    else:
        line.wire.connection_lost(None)
    assert receiver.is_lost
    line.wire.write(b"late")
    assert line.out.written == b""
    with pytest.raises(ConnectionResetError):
        line.wire.attach(OURS, receiver)


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
