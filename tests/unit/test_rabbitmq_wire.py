"""Which frames go past the driver, and which it is given."""

import pytest
from aiormq import spec
from hypothesis import given
from hypothesis import strategies as st
from pamqp.frame import marshal
from pamqp.heartbeat import Heartbeat

from common.brokers.rabbitmq import frames
from tests.support.wires import DRIVERS, OURS, Line, delivery

pytestmark = pytest.mark.anyio


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
    assert (receiver.tags, await line.driver_read()) == ([1, 2, 3], b"".join(others))


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
    for second in range(30):
        line.now = 100.0 + second
        line.wire.data_received(delivery(second))
    heard = await line.driver_read()
    assert heard == marshal(Heartbeat(), 0) * (len(heard) // 8)
    assert 6 <= len(heard) // 8 <= 10


async def test_what_is_not_a_whole_frame_is_no_sign_of_life() -> None:
    """A heartbeat is no answer to anything that the driver asks while it connects."""
    line = Line()
    line.now += 60
    line.wire.data_received(delivery(1)[:9])
    assert await line.driver_read() == b""


async def test_nothing_is_written_to_a_connection_that_is_being_closed() -> None:
    """The driver has said that no more will come; the socket would refuse it."""
    line = Line()
    line.out.closing = True
    line.wire.write(b"ack")
    assert line.out.written == b""


async def test_a_receiver_that_fails_ends_the_connection_as_a_lost_one() -> None:
    line = Line()
    line.wire.connection_lost(KeyError(7))
    with pytest.raises(ConnectionResetError, match="nobody expected"):
        await line.reader.read()


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
    line.wire.abort()  # what was written before may still be waited for
    assert line.out.aborted
    with pytest.raises(ConnectionResetError):
        line.wire.attach(OURS, receiver)
