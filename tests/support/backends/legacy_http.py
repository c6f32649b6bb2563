"""A streamable HTTP server of the older protocol, written by hand, as an ASGI application.

It keeps sessions and can forget them, streams, is cancelled, breaks streams off and takes them up.
"""

import asyncio
import json
import os
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

NAMES = ["echo", "steps", "wait", "big", "cut", "vanish", "ask", "pid"]


def _event(message: dict[str, Any], event_id: str = "") -> str:
    head = f"id: {event_id}\r\n" if event_id else ""
    return f"{head}event: message\r\ndata: {json.dumps({'jsonrpc': '2.0', **message})}\r\n\r\n"


@dataclass
class LegacyHttp:
    """The server's state; its knobs are set by tests."""

    stateful: bool = True
    by_hand: bool = False  # as servers that keep sessions by hand: 400 for an unknown one
    tools: list[Any] = field(
        default_factory=lambda: [{"name": n, "inputSchema": {"type": "object"}} for n in NAMES]
    )
    sessions: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # method, headers
    cancelled: dict[int, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    replies: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    announcements: asyncio.Queue[dict[str, Any]] = field(default_factory=asyncio.Queue)
    hearing: int = 0  # open session streams

    def app(self) -> Starlette:
        routes = [
            Route("/mcp", self.post, methods=["POST"]),
            Route("/mcp", self.stream, methods=["GET"]),
            Route("/mcp", self.end, methods=["DELETE"]),
            Route("/old", lambda _: RedirectResponse("/mcp", 307), methods=["POST"]),
        ]
        return Starlette(routes=routes)

    def forget(self) -> None:
        """Forget every session, as a server does that was started again."""
        self.sessions.clear()

    async def post(self, request: Request) -> Response:
        message = await request.json()
        method = message.get("method", "reply")
        self.asked.append((method, dict(request.headers)))
        if method == "server/discover":
            return Response("what is that?", 400)
        if method == "initialize":
            return self._initialize(message)
        if (refusal := self._unknown_session(request)) is not None:
            return refusal
        params = message.get("params") or {}
        if method == "notifications/cancelled":
            self.cancelled[params["requestId"]].set()
        if method == "reply":
            self.replies.put_nowait(message)
        if "id" not in message or method == "reply":
            return Response(status_code=202)
        if method == "tools/list":
            return _result(message["id"], {"tools": self.tools})
        return await self._call(message["id"], params)

    async def stream(self, request: Request) -> Response:
        cursor = request.headers.get("last-event-id")
        if cursor is not None:
            request_id = int(cursor.partition("/")[0])
            answer = {"id": request_id, "result": {"content": [], "resumed": True}}
            return StreamingResponse(iter([_event(answer, "9")]), media_type="text/event-stream")
        if (refusal := self._unknown_session(request)) is not None:
            return refusal

        async def announced() -> Any:
            self.hearing += 1
            try:
                while True:
                    yield _event(await self.announcements.get())
            finally:
                self.hearing -= 1

        return StreamingResponse(announced(), media_type="text/event-stream")

    async def end(self, request: Request) -> Response:
        self.ended.append(request.headers["mcp-session-id"])
        return Response(status_code=204)

    def _initialize(self, message: dict[str, Any]) -> Response:
        result = {
            "protocolVersion": "2025-06-18",
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": "legacy", "version": "0"},
        }
        response = _result(message["id"], result)
        if self.stateful:
            session = f"session-{len(self.sessions) + len(self.ended) + 1}"
            self.sessions.append(session)
            response.headers["mcp-session-id"] = session
            response.headers["set-cookie"] = f"node={session}; Path=/; HttpOnly"
        return response

    def _unknown_session(self, request: Request) -> Response | None:
        if not self.stateful or request.headers.get("mcp-session-id") in self.sessions:
            return None
        error = {"code": -32_000, "message": "Bad Request: No valid session ID provided"}
        if self.by_hand:
            return JSONResponse({"jsonrpc": "2.0", "error": error, "id": None}, 400)
        return Response(status_code=404)

    async def _call(self, request_id: int, params: dict[str, Any]) -> Response:
        arguments = params.get("arguments") or {}
        match params["name"]:
            case "big":
                text = arguments.get("of", "x") * arguments["size"]
                return _result(request_id, {"content": [{"type": "text", "text": text}]})
            case "rows":
                rows = list(range(arguments["count"]))
                return _result(request_id, {"content": [], "structuredContent": {"rows": rows}})
            case "echo":
                return _result(request_id, {"content": [{"type": "hologram"}], "got": params})
            case "pid":
                return _result(request_id, {"content": [], "pid": os.getpid()})
            case "wait":
                self.waiting.set()
                await self.released.wait()
                return _result(request_id, {"content": [{"type": "text", "text": "done"}]})
        return StreamingResponse(
            self._events(params["name"], request_id, params), media_type="text/event-stream"
        )

    async def _events(self, name: str, request_id: int, params: dict[str, Any]) -> Any:
        result: dict[str, Any] = {"content": [{"type": "text", "text": "done"}]}
        if name == "cut":
            yield f"id: {request_id}/1\nretry: 10\ndata:\n\n"
            return
        if name == "vanish":
            yield ": nothing yet\n\n"
            return
        if name == "ask":
            yield _event({"id": "q", "method": "ping"})
            result = {"content": [], "answer": await self.replies.get()}
        token = (params.get("_meta") or {}).get("progressToken")
        for step in range((params.get("arguments") or {}).get("count", 0)):
            progress = {"progressToken": token, "progress": step + 1}
            progress["_meta"] = {"longhaul/checkpoint": [step + 1]}
            yield _event({"method": "notifications/progress", "params": progress})
            line = {"level": "info", "data": f"{params['arguments']['who']} {step + 1}"}
            yield _event({"method": "notifications/message", "params": line})
        yield _event({"id": request_id, "result": result})


def _result(request_id: int, result: dict[str, Any]) -> Response:
    return JSONResponse({"jsonrpc": "2.0", "id": request_id, "result": result})


if __name__ == "__main__":  # `legacy_http.py http PORT`
    uvicorn.run(LegacyHttp().app(), port=int(sys.argv[2]), log_level="warning")
