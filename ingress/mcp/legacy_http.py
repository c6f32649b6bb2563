"""The handshake era over HTTP: what a request must carry, and how messages go out."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

import mcp_types as types
import pydantic_core
from mcp.server.streamable_http import check_accept_headers
from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Send

from common.wire import dump_json

PING_EVERY = 15.0  # seconds: a silent connection is cut off by what stands between

Message = Mapping[str, Any]  # of JSON-RPC, outgoing

_SESSION = "mcp-session-id"
_PING = b": ping\r\n\r\n"


def refusal(
    status: int, code: int, text: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Before it is known which request is refused."""
    return as_json(error_message(None, code, text), status, headers)


def as_json(
    message: Message, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(dump_json(message), status, headers, "application/json")


def result_message(request_id: types.RequestId, result: Mapping[str, Any]) -> Message:
    return {"jsonrpc": "2.0", "id": request_id, "result": result}


def error_message(
    request_id: types.RequestId | None, code: int, text: str, data: Any = None
) -> Message:
    error = {"code": code, "message": text}
    return {
        "jsonrpc": "2.0",
        "id": request_id,
        "error": error if data is None else {**error, "data": data},
    }


def of_session(session_id: str) -> dict[str, str]:
    """The header that names it."""
    return {_SESSION: session_id}


def not_acceptable(request: Request, method: Literal["GET", "POST"]) -> Response | None:
    """What is wrong with the headers of a request; None when nothing is."""
    has_json, has_events = check_accept_headers(request)
    if not has_events or (method == "POST" and not has_json):
        wanted = "text/event-stream"
        wanted = f"both application/json and {wanted}" if method == "POST" else wanted
        text = f"Not Acceptable: Client must accept {wanted}"
        return refusal(406, types.INVALID_REQUEST, text)
    if method == "POST":
        content = request.headers.get("content-type", "").partition(";")[0]
        if content.strip().lower() != "application/json":
            text = "Unsupported Media Type: Content-Type must be application/json"
            return refusal(415, types.INVALID_REQUEST, text)
    return None


async def read_body(request: Request) -> bytes | None:
    """None when its client has left, or has sent too much and hears so from the door."""
    try:
        return await request.body()
    except ClientDisconnect:
        return None


def read_message(body: bytes) -> types.JSONRPCMessage | Response:
    """One message, or why it is none."""
    try:
        raw = pydantic_core.from_json(body)
    except ValueError as error:
        return refusal(400, types.PARSE_ERROR, f"Parse error: {error}")
    try:
        return types.jsonrpc_message_adapter.validate_python(raw, by_name=False)
    except ValidationError:
        text = "Validation error: the body must be one JSON-RPC message"
        return refusal(400, types.INVALID_PARAMS, text)


class EventStream:
    """One response as a stream of server-sent events."""

    def __init__(self, send: Send, session_id: str) -> None:
        self._send = send
        self._session_id = session_id

    @asynccontextmanager
    async def open(self, receive: Receive) -> AsyncIterator[None]:
        """While it is open its client is heard leaving, and shown signs of life."""
        headers = {
            "content-type": "text/event-stream",
            "cache-control": "no-cache, no-transform",
            "x-accel-buffering": "no",
            **of_session(self._session_id),
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": raw})
        attending = asyncio.create_task(self._attend(receive))
        try:
            yield
        finally:
            attending.cancel()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def write(self, message: Message) -> None:
        await self._write(b"event: message\r\ndata: " + dump_json(message) + b"\r\n\r\n")

    async def _attend(self, receive: Receive) -> None:
        while True:
            try:
                async with asyncio.timeout(PING_EVERY):
                    message = await receive()
            except TimeoutError:
                await self._write(_PING)
            else:
                if message["type"] == "http.disconnect":
                    return

    async def _write(self, piece: bytes) -> None:
        await self._send({"type": "http.response.body", "body": piece, "more_body": True})
