"""A wire without a socket: what comes is said by the test, what goes is kept."""

import asyncio
from typing import Any

from aiormq import spec
from pamqp.frame import marshal
from typing_extensions import override

from common.brokers.rabbitmq.wire import Wire

OURS, DRIVERS = 2, 1  # channels


class Out(asyncio.Transport):
    """Where a wire writes to."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closing = False
        self.aborted = False

    @override
    def write(self, data: Any) -> None:
        self.written += data

    @override
    def abort(self) -> None:
        self.aborted = True

    @override
    def is_closing(self) -> bool:
        return self.closing


class Line:
    """A wire, what it writes, and what its driver reads."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader()
        self.now = 100.0
        self.wire = Wire(self.reader, lambda: self.now)
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
