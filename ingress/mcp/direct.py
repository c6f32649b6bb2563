"""The direct way: `tools/call` and tasks of 2026-07-28, around the SDK's HTTP layer.

These are nearly all of the traffic, and that layer costs more than all the rest of a call. Here
only what is plainly in order is served, by the same handlers; whatever is not, in any way, goes to
the SDK as it came, which knows what to say. So no rule of the protocol is written twice: those that
are checked here are the SDK's own functions.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import mcp_types as types
from mcp.server.context import CallNext, ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    X_MCP_HEADER_KEY,
    InboundModernRoute,
    classify_inbound_request,
)
from mcp.shared.jsonrpc_dispatcher import (
    handler_exception_to_error_data,
    progress_token_from_params,
)
from pydantic import ValidationError
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.catalogue import CatalogueTool
from common.values import value_type
from common.wire import dump_json, load_json
from ingress.mcp.declared import Context
from ingress.mcp.reply import Reply, Speech
from ingress.mcp.tasks import METHODS as TASKS

_CALL = "tools/call"
_METHODS = frozenset({_CALL, *TASKS})

_ROUTING = {
    name.encode(): name
    for name in (MCP_PROTOCOL_VERSION_HEADER, MCP_METHOD_HEADER, MCP_NAME_HEADER)
}
_TYPES = frozenset({"application/json", "text/event-stream"})
REMEMBERED = 10_000  # versions of tools; more are looked into anew

Route = Callable[[Context, CallNext], Any]


@value_type(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that is in order."""

    id: types.RequestId
    method: str
    params: Mapping[str, Any]
    version: str


class Direct:
    """What is not in order goes `otherwise`."""

    def __init__(
        self, route: Route, tool: Callable[[str], CatalogueTool | None], otherwise: ASGIApp
    ) -> None:
        self._route = route
        self._tool = tool
        self._otherwise = otherwise
        self._mirrors: dict[str, bool] = {}  # by the version of a tool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        if headers is None:
            await self._otherwise(scope, receive, send)
            return
        came = await _read(receive)
        asked = self._understood(came, headers)
        if asked is None:
            await self._otherwise(scope, _again(came, receive), send)
            return
        reply = Reply(send, asked.id)
        try:
            if asked.method == _CALL:
                await self._while_there(asked, scope, receive, reply)
            else:
                await self._answer(asked, scope, reply)
        finally:
            reply.close()

    async def _while_there(
        self, asked: Asked, scope: Scope, receive: Receive, reply: Reply
    ) -> None:
        """A call whose client goes away is cancelled; what that means the handler knows."""
        handler = asyncio.current_task()
        watching = asyncio.create_task(_watch(receive, reply, handler))
        try:
            await self._answer(asked, scope, reply)
        except asyncio.CancelledError:
            lost = watching.done() and not watching.cancelled() and watching.result()
            if handler is None or not lost or handler.uncancel():
                raise
        finally:
            if not reply.over:  # else the request ends now, and `receive` tells that
                watching.cancel()

    async def _answer(self, asked: Asked, scope: Scope, reply: Reply) -> None:
        ctx: Context = ServerRequestContext(
            session=Speech(reply, progress_token_from_params(asked.params)),
            lifespan_context={},
            protocol_version=asked.version,
            method=asked.method,
            params=asked.params,
            request_id=asked.id,
            request=Request(scope),
        )
        try:
            result = await self._route(ctx, _not_routed)
        except (MCPError, ValidationError) as error:
            told = handler_exception_to_error_data(error)
            await reply.error(told or types.ErrorData(code=types.INTERNAL_ERROR, message=""))
        else:
            await reply.result(result)

    def _understood(self, came: list[Message], headers: Mapping[str, str]) -> Asked | None:
        if came[-1]["type"] != "http.request":
            return None
        raw = b"".join([message.get("body", b"") for message in came])
        try:
            body = load_json(raw)
        except ValueError:
            return None
        if type(body) is not dict or body.get("jsonrpc") != "2.0":
            return None
        request_id, method, params = body.get("id"), body.get("method"), body.get("params")
        if method not in _METHODS or type(params) is not dict:
            return None
        if not isinstance(request_id, str | int) or isinstance(request_id, bool):
            return None
        route = classify_inbound_request(body, headers=headers)
        if not isinstance(route, InboundModernRoute):
            return None
        if method == _CALL and self._mirrored(params.get("name")):
            return None
        return Asked(id=request_id, method=method, params=params, version=route.protocol_version)

    def _mirrored(self, name: object) -> bool:
        """Whether arguments of this tool are to be repeated in headers, which the SDK checks."""
        tool = self._tool(name) if isinstance(name, str) else None
        if tool is None:
            return False
        known = self._mirrors.get(tool.version)
        if known is None:
            if len(self._mirrors) >= REMEMBERED:
                self._mirrors.clear()
            known = X_MCP_HEADER_KEY.encode() in dump_json(tool.input_schema)
            self._mirrors[tool.version] = known
        return known


def _headers(scope: Scope) -> Mapping[str, str] | None:
    """Those that route a request; None when a header is not as it should be."""
    if scope["method"] != "POST":
        return None
    routing: dict[str, str] = {}
    content = accept = b""
    for name, value in scope["headers"]:
        if name in _ROUTING:
            if _ROUTING[name] in routing:
                return None
            routing[_ROUTING[name]] = value.decode("latin-1")
        elif name == b"content-type":
            content = value
        elif name == b"accept":
            accept = value
    if content != b"application/json":
        return None
    accepted = {each.strip() for each in accept.decode("latin-1").split(",")}
    return routing if accepted >= _TYPES else None


async def _read(receive: Receive) -> list[Message]:
    """The request's messages, to the end of its body or of its connection."""
    came = [await receive()]
    while came[-1].get("more_body"):
        came.append(await receive())
    return came


def _again(came: list[Message], receive: Receive) -> Receive:
    """What was read already, then what follows."""
    waiting = iter(came)

    async def next_message() -> Message:
        message = next(waiting, None)
        return await receive() if message is None else message

    return next_message


async def _watch(receive: Receive, reply: Reply, handler: asyncio.Task[Any] | None) -> bool:
    """Whether the client was lost before its answer; its handler is cancelled then."""
    while (await receive())["type"] != "http.disconnect":
        pass
    return handler is not None and not reply.over and handler.cancel()


async def _not_routed(ctx: Context) -> Any:
    raise MCPError(types.METHOD_NOT_FOUND, "Method not found", ctx.method)
