"""The bytes of one Redis connection: commands out, replies in, without a task of its own.

redis-py opens the connection, with everything that its address says; from then on its streams,
which cost more per command than Redis itself, are left out.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import hiredis
from redis.asyncio import Connection
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError
from typing_extensions import override

Command = tuple[Any, ...]


class Wire(asyncio.Protocol):
    """`on_reply` is called with each reply in turn; what Redis refused is an exception.

    What Redis says unasked, over RESP3, goes to `on_push`.
    """

    def __init__(
        self,
        connection: Connection,
        on_reply: Callable[[Any], None],
        on_push: Callable[[Any], None] | None = None,
    ) -> None:
        self._reader = hiredis.Reader(replyError=_refusal, notEnoughData=...)
        self._on_reply = on_reply
        self._on_push = on_push
        self.lost = asyncio.Event()
        # The one attribute that redis-py does not give out.
        writer = cast("Any", connection)._writer  # noqa: SLF001 - see above
        self._transport: asyncio.Transport = writer.transport
        self._transport.set_protocol(self)

    def write(self, data: bytes) -> None:
        self._transport.write(data)

    def abort(self) -> None:
        self._transport.abort()

    @override
    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not ...:
                if not isinstance(reply, hiredis.PushNotification):
                    self._on_reply(reply)
                elif self._on_push is not None:
                    self._on_push(reply)
        except hiredis.ProtocolError:
            self.abort()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


def packed(command: Command) -> bytes:
    data: bytes = hiredis.pack_command(command)
    return data


def _refusal(text: str) -> ResponseError:
    return _REFUSALS.get(text.partition(" ")[0], ResponseError)(text)


_REFUSALS = {"NOSCRIPT": NoScriptError, "READONLY": ReadOnlyError}
