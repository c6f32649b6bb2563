"""One HTTP request to the MCP endpoint, as seen from in front of the SDK.

The SDK tells a handler nothing, or only a cancellation, when its client goes away. Here `receive`
and `send` are wrapped, so that the handler can know how: DESIGN 9 makes a difference of it.
"""

import math
from collections.abc import Callable
from typing import Any

from mcp.server.context import ServerRequestContext
from starlette.types import Message, Receive, Scope, Send

from ingress.caller import Caller
from ingress.mcp.legacy_session import LegacySession

KEY = "longhaul.exchange"  # in the ASGI scope


class Exchange:
    def __init__(
        self,
        *,
        caller: Caller,
        request_id: str,
        session_id: str | None,
        wait: str | None,
        bridge: str | None = None,
        receive: Receive,
        send: Send,
    ) -> None:
        self.caller = caller
        self.request_id = request_id
        self.session_id = session_id  # the header, as it came
        self.wait = wait  # the header x-longhaul-wait, as it came
        self.bridge = bridge  # the header x-longhaul-bridge: a stdio client is behind this
        self.session: LegacySession | None = None  # None: 2026-07-28
        self.cancelled = False  # the client said so, of this request or of its whole session
        self.status: int | None = None
        self.gone = False  # the connection was lost or closed before the response had ended
        self.on_gone: Callable[[], None] | None = None
        self.on_cancel: Callable[[], None] | None = None  # `cancel` was called
        self.on_sent: Callable[[], None] | None = None  # the whole response went out
        self.retry_after: float | None = None  # seconds: an error goes out as 503
        self._complete = False
        self._receive = receive
        self._send = send

    @property
    def outlived(self) -> bool:
        """Whether to lose the connection says nothing of what its client wants (DESIGN 9)."""
        return self.session is not None or self.bridge is not None

    def cancel(self) -> None:
        """The client said so, elsewhere than on this connection."""
        self.cancelled = True
        if self.on_cancel is not None:
            self.on_cancel()

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not (self._complete or self.gone):
            self.gone = True
            if self.on_gone is not None:
                self.on_gone()
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self.retry_after is not None and _is_json(message):
                message = _unavailable(message, self.retry_after)
            self.status = message["status"]
            await self._send(message)
            return
        await self._send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._complete = True
            if self.on_sent is not None and not self.gone:
                self.on_sent()


def exchange_in(scope: Scope) -> Exchange:
    exchange: Exchange = scope[KEY]
    return exchange


def exchange_of(ctx: ServerRequestContext[Any, Any]) -> Exchange:
    if ctx.request is None:
        raise RuntimeError("served only over HTTP")
    return exchange_in(ctx.request.scope)


def _is_json(start: Message) -> bool:
    return any(name == b"content-type" and b"json" in value for name, value in start["headers"])


def _unavailable(start: Message, after: float) -> Message:
    header = (b"retry-after", str(math.ceil(after)).encode())
    return {**start, "status": 503, "headers": [*start["headers"], header]}
