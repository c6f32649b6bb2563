"""Frames of tokens, written and read without the driver: byte for byte as its codec has them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from aiormq import spec
from hypothesis import given
from hypothesis import strategies as st
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.frame import marshal
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from common.brokers.rabbitmq import frames

CHANNELS = st.integers(1, 65535)
TAGS = st.integers(1, 2**63 - 1)
NAMES = st.text("abcxyz019._-:", max_size=60)
SECONDS = st.integers(0, 2**33)


@given(
    channel=CHANNELS,
    exchange=NAMES,
    key=NAMES,
    body=st.binary(max_size=200),
    message_id=NAMES.filter(bool),
    priority=st.integers(0, 9),
    timestamp=SECONDS,
    frame_max=st.sampled_from([0, 64, 4096]),
)
def test_a_publication(
    channel: int,
    exchange: str,
    key: str,
    body: bytes,
    message_id: str,
    priority: int,
    timestamp: int,
    frame_max: int,
) -> None:
    properties = spec.Basic.Properties(
        delivery_mode=2,
        priority=priority,
        message_id=message_id,
        timestamp=datetime.fromtimestamp(timestamp, UTC),
    )
    room = frame_max - 8 if frame_max else 200
    parts = [body[at : at + room] for at in range(0, len(body), room)]
    expected: tuple[Frame | ContentHeader | ContentBody, ...] = (
        spec.Basic.Publish(exchange=exchange, routing_key=key, mandatory=True),
        ContentHeader(properties=properties, body_size=len(body)),
        *(ContentBody(part) for part in parts),
    )
    written = frames.publication(
        channel,
        exchange=exchange,
        key=key,
        body=body,
        message_id=message_id,
        priority=priority,
        timestamp=timestamp,
        frame_max=frame_max,
    )
    assert written == b"".join(marshal(frame, channel) for frame in expected)


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="range"):
        frames.publication(
            1,
            exchange="",
            key="k" * 256,
            body=b"",
            message_id="m",
            priority=0,
            timestamp=0,
            frame_max=0,
        )


@given(channel=CHANNELS, tag=TAGS)
def test_what_settles_a_delivery(channel: int, tag: int) -> None:
    assert frames.ack(channel, tag) == marshal(spec.Basic.Ack(delivery_tag=tag), channel)
    nack = spec.Basic.Nack(delivery_tag=tag, requeue=True)
    assert frames.requeue(channel, tag) == marshal(nack, channel)


@given(tag=TAGS, multiple=st.booleans())
def test_what_settles_a_publication(tag: int, multiple: bool) -> None:
    ack = written(spec.Basic.Ack(delivery_tag=tag, multiple=multiple))
    nack = written(spec.Basic.Nack(delivery_tag=tag, multiple=multiple, requeue=False))
    assert frames.method_of(ack, 7) == frames.ACK
    assert frames.method_of(nack, 7) == frames.NACK
    assert frames.read_settled(ack, 7) == frames.read_settled(nack, 7) == (tag, multiple)


@given(tag=TAGS, redelivered=st.booleans(), consumer=NAMES)
def test_a_delivery(tag: int, redelivered: bool, consumer: str) -> None:
    method = written(
        spec.Basic.Deliver(
            consumer_tag=consumer,
            delivery_tag=tag,
            redelivered=redelivered,
            exchange="lh.v1.jobs",
            routing_key="echo",
        )
    )
    assert frames.method_of(method, 7) == frames.DELIVER
    assert frames.read_delivery(method, 7) == (tag, redelivered)


def test_the_end_of_a_channel() -> None:
    close = written(
        spec.Channel.Close(
            reply_code=404, reply_text="NOT_FOUND - no exchange", class_id=60, method_id=40
        )
    )
    assert frames.method_of(close, 7) == frames.CHANNEL_CLOSE
    assert frames.read_close(close, 7) == (404, "NOT_FOUND - no exchange")
    assert frames.method_of(written(spec.Channel.CloseOk()), 7) == frames.CHANNEL_CLOSE_OK
    returned = spec.Basic.Return(reply_code=312, reply_text="", exchange="", routing_key="")
    assert frames.method_of(written(returned), 7) == frames.RETURN


OPTIONAL = st.none() | st.text(min_size=1, max_size=20)


@given(
    size=st.integers(0, 2**40),
    content_type=OPTIONAL,
    content_encoding=OPTIONAL,
    headers=st.none() | st.dictionaries(st.text(min_size=1, max_size=9), st.text(), min_size=1),
    delivery_mode=st.none() | st.sampled_from([1, 2]),
    priority=st.none() | st.integers(1, 255),
    correlation_id=OPTIONAL,
    reply_to=OPTIONAL,
    expiration=OPTIONAL,
    message_id=OPTIONAL,
    timestamp=st.none() | SECONDS,
    app_id=OPTIONAL,
)
def test_a_header_with_any_properties(
    size: int, priority: int | None, message_id: str | None, timestamp: int | None, **others: Any
) -> None:
    """A token that was parked comes with headers of the broker, one of others with anything."""
    properties = spec.Basic.Properties(
        priority=priority,
        message_id=message_id,
        timestamp=None if timestamp is None else datetime.fromtimestamp(timestamp, UTC),
        **others,
    )
    header = written(ContentHeader(properties=properties, body_size=size))
    assert frames.read_content(header, 7) == frames.Content(size, priority, message_id, timestamp)


def test_a_payload_ends_with_its_frame() -> None:
    two = written(ContentBody(b"first")) + written(ContentBody(b"second"))
    assert frames.payload(two, 7) == b"first"


def test_a_heartbeat_is_one() -> None:
    assert marshal(Heartbeat(), 0) == frames.EMPTY_HEARTBEAT


def written(frame: Frame | ContentHeader | ContentBody) -> bytes:
    return marshal(frame, 3)
