"""The answer to one request of 2026-07-28: JSON, or a stream where something is said before it.

A response that waits long becomes a stream as well, so that pings can keep its connection open.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import mcp_types as types
from mcp.server.session import ServerSession
from mcp.shared.exceptions import NoBackChannelError
from mcp.shared.inbound import ERROR_CODE_HTTP_STATUS
from starlette.types import Send
from typing_extensions import override

from common.wire import dump_json

PING_EVERY = 15.0  # seconds of silence

_OK = 200
_PING = b": ping\r\n\r\n"
_JSON = [(b"content-type", b"application/json")]
_STREAM = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
]


class Reply:
    def __init__(self, send: Send, request_id: types.RequestId) -> None:
        self._send = send
        self._request_id = request_id
        self._loop = asyncio.get_running_loop()
        self._speaking = asyncio.Lock()
        self._streams = False
        self.over = False  # nothing more goes out, but for an answer that is on its way
        self._silence = self._loop.call_later(PING_EVERY, self._ping)
        self._pinging: asyncio.Task[None] | None = None

    async def say(self, method: str, params: Mapping[str, Any]) -> None:
        """A notification, before the answer."""
        await self._event(_frame({"jsonrpc": "2.0", "method": method, "params": params}))

    async def result(self, result: Mapping[str, Any]) -> None:
        await self._end({"jsonrpc": "2.0", "id": self._request_id, "result": result}, _OK)

    async def error(self, error: types.ErrorData) -> None:
        said = {"code": error.code, "message": error.message}
        told = said if error.data is None else {**said, "data": error.data}
        message = {"jsonrpc": "2.0", "id": self._request_id, "error": told}
        await self._end(message, ERROR_CODE_HTTP_STATUS.get(error.code, _OK))

    def close(self) -> None:
        """Nothing more is said."""
        self.over = True
        self._silence.cancel()

    async def _end(self, message: Mapping[str, Any], status: int) -> None:
        self.close()
        if self._streams:
            async with self._speaking:
                await self._body(_frame(message), more=False)
            return
        raw = dump_json(message)
        length = (b"content-length", str(len(raw)).encode())
        await self._start(status, [*_JSON, length])
        await self._body(raw, more=False)

    async def _event(self, frame: bytes) -> None:
        async with self._speaking:
            if self.over:
                return
            self._silence.cancel()
            self._silence = self._loop.call_later(PING_EVERY, self._ping)
            if not self._streams:
                self._streams = True
                await self._start(_OK, _STREAM)
            await self._body(frame, more=True)

    def _ping(self) -> None:
        self._pinging = self._loop.create_task(self._event(_PING))

    async def _start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers]})

    async def _body(self, raw: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": raw, "more_body": more})


class Speech(ServerSession):
    """What a handler may say before its answer; 2026-07-28 lets a server ask nothing."""

    def __init__(self, reply: Reply, token: types.ProgressToken | None) -> None:
        self._reply = reply
        self._token = token

    @property
    @override
    def client_params(self) -> None:
        """There was no handshake; what the client declared is in each request."""

    @override
    async def report_progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        if self._token is None:
            return
        said = {"progressToken": self._token, "progress": progress}
        more = {"total": total, "message": message}
        known = {key: value for key, value in more.items() if value is not None}
        await self._reply.say("notifications/progress", {**said, **known})

    @override
    async def send_notification(
        self, notification: Any, related_request_id: types.RequestId | None = None
    ) -> None:
        data = notification.model_dump(by_alias=True, mode="json", exclude_none=True)
        await self._reply.say(data["method"], data.get("params") or {})

    @override
    async def send_request(self, request: Any, *_: Any, **__: Any) -> Any:
        raise NoBackChannelError(request.method)


def _frame(message: Mapping[str, Any]) -> bytes:
    return b"event: message\r\ndata: " + dump_json(message) + b"\r\n\r\n"
