"""The frames a token travels in: published, confirmed, delivered, acked. Bytes, no input or output.

AMQP 0-9-1, section 4.2 (frames, properties) and the methods of class basic. Every other frame of a
connection is the driver's (`wire`).
"""

import sys
from struct import Struct

from common.values import value_type

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8  # kinds of frames
FRAME = Struct(">BHI")  # kind, channel, length of the payload
FRAME_END = 0xCE
OVERHEAD = FRAME.size + 1  # bytes of a frame beside its payload

PUBLISH, RETURN, DELIVER, ACK, NACK = ((60 << 16) + method for method in (40, 50, 60, 80, 120))
CHANNEL_CLOSE, CHANNEL_CLOSE_OK = ((20 << 16) + method for method in (40, 41))

EMPTY_HEARTBEAT = FRAME.pack(HEARTBEAT, 0, 0) + bytes([FRAME_END])

PERSISTENT = 2
_CONTENT_TYPE, _CONTENT_ENCODING, _HEADERS, _DELIVERY_MODE = 1 << 15, 1 << 14, 1 << 13, 1 << 12
_PRIORITY, _CORRELATION_ID, _REPLY_TO, _EXPIRATION = 1 << 11, 1 << 10, 1 << 9, 1 << 8
_MESSAGE_ID, _TIMESTAMP = 1 << 7, 1 << 6
_OURS = _DELIVERY_MODE | _PRIORITY | _MESSAGE_ID | _TIMESTAMP

_WORD = Struct(">H")
_LONG = Struct(">I")
_LONGLONG = Struct(">Q")
_TAG = Struct(">QB")  # a delivery tag and the bits behind it
_SETTLE = Struct(">BHIIQBB")
_SIZE = Struct(">QH")  # of the body; which properties follow
_CONTENT = Struct(">HHQHBB")
_MULTIPLE, _REQUEUE = 1, 2


@value_type(frozen=True, slots=True)
class Content:
    """What is read of a message's header."""

    size: int  # bytes of the body, which comes in frames of its own
    priority: int | None
    message_id: str | None
    timestamp: int | None  # seconds since the epoch


def publication(
    channel: int,
    *,
    exchange: str,
    key: str,
    body: bytes,
    message_id: str,
    priority: int,
    timestamp: int,
    frame_max: int,
) -> bytes:
    """A persistent, mandatory message: its method, its header, and the body in as many frames as
    `frame_max` bytes ask for (0: no limit).

    Raises:
        ValueError: A name is longer than 255 bytes.
    """
    method = _LONG.pack(PUBLISH) + b"\0\0" + _short(exchange) + _short(key) + b"\1"
    header = (
        _CONTENT.pack(60, 0, len(body), _OURS, PERSISTENT, priority)
        + _short(message_id)
        + _LONGLONG.pack(timestamp)
    )
    room = frame_max - OVERHEAD if frame_max else sys.maxsize
    parts = [_frame(METHOD, channel, method), _frame(HEADER, channel, header)]
    parts += [_frame(BODY, channel, body[at : at + room]) for at in range(0, len(body), room)]
    return b"".join(parts)


def ack(channel: int, tag: int) -> bytes:
    return _SETTLE.pack(METHOD, channel, 13, ACK, tag, 0, FRAME_END)


def requeue(channel: int, tag: int) -> bytes:
    """A nack that gives the message back to its queue."""
    return _SETTLE.pack(METHOD, channel, 13, NACK, tag, _REQUEUE, FRAME_END)


def method_of(data: bytes, at: int) -> int:
    """Which method a payload is; its arguments begin four bytes on."""
    method: int = _LONG.unpack_from(data, at)[0]
    return method


def payload(data: bytes, at: int) -> bytes:
    """The payload that begins at `at`."""
    return data[at : at + _LONG.unpack_from(data, at - _LONG.size)[0]]


def read_settled(data: bytes, at: int) -> tuple[int, bool]:
    """Of a broker's ack or nack: the tag, and whether all before it are meant too."""
    tag, bits = _TAG.unpack_from(data, at + 4)
    return tag, bool(bits & _MULTIPLE)


def read_delivery(data: bytes, at: int) -> tuple[int, bool]:
    """Of a delivery: its tag, and whether it was out before."""
    tag, redelivered = _TAG.unpack_from(data, _behind_short(data, at + 4))
    return tag, bool(redelivered)


def read_close(data: bytes, at: int) -> tuple[int, str]:
    """Why the broker closed a channel: the code and the text."""
    begin = at + 7
    text = data[begin : begin + data[begin - 1]].decode(errors="replace")
    return _WORD.unpack_from(data, at + 4)[0], text


def read_content(data: bytes, at: int) -> Content:
    """A content header; a message from elsewhere may lack any property, or have all of them."""
    size, has = _SIZE.unpack_from(data, at + 4)
    at += 4 + _SIZE.size
    priority = message_id = timestamp = None
    for skipped in (_CONTENT_TYPE, _CONTENT_ENCODING):
        if has & skipped:
            at = _behind_short(data, at)
    if has & _HEADERS:
        at += _LONG.size + _LONG.unpack_from(data, at)[0]
    if has & _DELIVERY_MODE:
        at += 1
    if has & _PRIORITY:
        priority = data[at]
        at += 1
    for skipped in (_CORRELATION_ID, _REPLY_TO, _EXPIRATION):
        if has & skipped:
            at = _behind_short(data, at)
    if has & _MESSAGE_ID:
        message_id = data[at + 1 : at + 1 + data[at]].decode(errors="replace")
        at = _behind_short(data, at)
    if has & _TIMESTAMP:
        timestamp = _LONGLONG.unpack_from(data, at)[0]
    return Content(size, priority, message_id, timestamp)


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return FRAME.pack(kind, channel, len(payload)) + payload + b"\xce"


def _short(text: str) -> bytes:
    raw = text.encode()
    return bytes((len(raw),)) + raw


def _behind_short(data: bytes, at: int) -> int:
    return at + 1 + data[at]
