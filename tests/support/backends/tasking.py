"""Backends over HTTP that run a call as a task of their own, one for each dialect, by hand.

They live in the test's process, and the test says what happens to a task, and to the connection.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from typing_extensions import override

from tests.support.backends.serving import served
from tests.support.waiting import until

EXTENSION = "io.modelcontextprotocol/tasks"
RELATED = "io.modelcontextprotocol/related-task"
CREATED = "2026-11-21T00:00:00Z"
NAMES = ["work", "plain"]  # `work` can only be run as a task
QUESTION = {"method": "elicitation/create", "params": {"message": "Who?", "requestedSchema": {}}}
Body = dict[str, Any]


class Refusal(Exception):
    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.body = {"code": code, "message": message, **({} if data is None else {"data": data})}


@dataclass
class Task:
    """One task, as the test wants it to be."""

    id: str
    status: str = "working"
    message: str | None = None
    result: Body | None = None
    error: Body | None = None
    questions: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    stale: int = 0  # more looks that show what was answered
    token: Any = None  # of its call's progress
    steps: list[float] = field(default_factory=list)  # progress that goes out before the result
    looks: list[float] = field(default_factory=list)  # when it was looked at, seconds
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def ends(self, text: str = "done", **more: Any) -> None:
        content = [{"type": "text", "text": text}]
        self.moves("completed", result={"content": content, "vendorTop": None, **more})

    def asks(self, **questions: Any) -> None:
        self.moves("input_required", questions=questions or {"who": QUESTION})

    def moves(self, status: str, **more: Any) -> None:
        self.status = status
        for name, value in more.items():
            setattr(self, name, value)
        self.moved.set()


@dataclass
class TaskingBackend:
    interval_ms: int = 1  # between two looks
    away: bool = False  # every request breaks off
    stale: int = 0  # looks that still show what was answered before
    tasks: list[Task] = field(default_factory=list)  # in the order of calls
    known: dict[str, Task] = field(default_factory=dict)
    asked: list[tuple[str, Body, Mapping[str, str]]] = field(default_factory=list)

    def serve(self) -> AbstractAsyncContextManager[str]:
        """Served; the address without its path."""
        return served(Starlette(routes=[Route("/mcp", self._post, methods=["POST"])]))

    async def begun(self, count: int = 1) -> Task:
        """The task of this call, once it was made."""
        await until(lambda: len(self.tasks) >= count)
        return self.tasks[count - 1]

    def forget(self) -> None:
        """As a server that was started again and keeps its tasks in memory."""
        self.known.clear()

    def said(self, method: str) -> list[Body]:
        """The params of every request of this method."""
        return [params for name, params, _ in self.asked if name == method]

    async def _post(self, request: Request) -> Response:
        message = await request.json()
        method, params = message.get("method", "reply"), message.get("params") or {}
        self.asked.append((method, params, dict(request.headers)))
        if self.away:
            return Response(status_code=502)
        if "id" not in message or method == "reply":
            await self.heard(message)
            return Response(status_code=202)
        try:
            answer = await self.answer(message["id"], method, params)
        except Refusal as refusal:
            return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "error": refusal.body})
        if isinstance(answer, Response):
            return answer
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": answer})

    async def answer(self, request: Any, method: str, params: Body) -> Body | Response:
        raise NotImplementedError

    async def heard(self, message: Body) -> None:
        """A notification or a reply."""

    def _begin(self) -> Task:
        task = Task(f"task-{len(self.tasks) + 1}-{id(self)}")
        self.tasks.append(task)
        self.known[task.id] = task
        return task

    def _find(self, params: Body) -> Task:
        task = self.known.get(params["taskId"])
        if task is None:
            raise Refusal(-32_602, "Task not found")
        return task

    def _look(self, params: Body) -> Task:
        task = self._find(params)
        task.looks.append(asyncio.get_running_loop().time())
        return task


class ModernTasks(TaskingBackend):
    """2026-07-28 with the extension: the server decides, here by the tool's name."""

    @override
    async def answer(self, request: Any, method: str, params: Body) -> Body | Response:
        del request
        match method:
            case "server/discover":
                return _complete(
                    supportedVersions=["2026-07-28"],
                    capabilities={"tools": {}, "extensions": {EXTENSION: {}}},
                )
            case "tools/list":
                return _complete(tools=[_tool(name) for name in NAMES])
            case "tools/call":
                return self._call(params)
            case "tasks/get":
                task = self._look(params)
                shown = self._shown(task, "complete")
                if task.stale == 1:
                    task.moves("working", questions={})
                task.stale = max(0, task.stale - 1)
                return shown
            case "tasks/update":
                return self._update(params)
            case "tasks/cancel":
                self._find(params).moves("cancelled")
                return _complete()
        raise Refusal(-32_601, "Method not found")

    def _call(self, params: Body) -> Body:
        if params["name"] == "plain":
            return _complete(content=[], got=params)
        declared = params["_meta"]["io.modelcontextprotocol/clientCapabilities"]
        if EXTENSION not in declared.get("extensions", {}):
            needed: Body = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
            raise Refusal(-32_021, "tasks are needed", needed)
        return self._shown(self._begin(), "task")

    def _update(self, params: Body) -> Body:
        task = self._find(params)
        for key, answer in params["inputResponses"].items():
            if key in task.questions:
                task.answers[key] = answer
        task.stale = self.stale
        if task.questions.keys() <= task.answers.keys() and not task.stale:
            task.moves("working", questions={})
        return _complete()

    def _shown(self, task: Task, kind: str) -> Body:
        more = {"result": task.result, "error": task.error, "inputRequests": task.questions}
        return {
            "resultType": kind,
            **_state(task),
            "ttlMs": None,
            "pollIntervalMs": self.interval_ms,
            **({} if kind == "task" else {name: it for name, it in more.items() if it}),
        }


class LegacyTasks(TaskingBackend):
    """2025-11-25: the caller decides, and the list says where it has to."""

    @override
    async def answer(self, request: Any, method: str, params: Body) -> Body | Response:
        match method:
            case "initialize":
                tasks: Body = {"cancel": {}, "requests": {"tools": {"call": {}}}}
                return {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {}, "tasks": tasks},
                    "serverInfo": {"name": "tasks", "version": "0"},
                }
            case "tools/list":
                required = {"execution": {"taskSupport": "required"}}
                return {"tools": [_tool("work", **required), _tool("plain")]}
            case "tools/call" if params["name"] == "plain":
                return {"content": [], "got": params}
            case "tools/call" if "task" in params:
                task = self._begin()
                task.token = params["_meta"]["progressToken"]
                return {"task": self._shown(task)}
            case "tasks/get":
                return self._shown(self._look(params))
            case "tasks/result":
                return StreamingResponse(
                    self._result(request, self._find(params)), media_type="text/event-stream"
                )
            case "tasks/cancel":
                task = self._find(params)
                task.moves("cancelled")
                return self._shown(task)
        raise Refusal(-32_601, "Method not found")

    @override
    async def heard(self, message: Body) -> None:
        for task in self.tasks:
            if "method" not in message and task.questions.pop(message["id"], None) is not None:
                task.answers[message["id"]] = message.get("result", message.get("error"))
                task.moves("working")

    async def _result(self, request: Any, task: Task) -> AsyncIterator[str]:
        told: set[str] = set()
        while task.status in {"working", "input_required"}:
            task.moved.clear()
            for key in task.questions.keys() - told:
                told.add(key)
                params = {**task.questions[key]["params"], "_meta": {RELATED: {"taskId": task.id}}}
                yield _event({"id": key, **task.questions[key], "params": params})
            await task.moved.wait()
        for step in task.steps:
            progress = {"progressToken": task.token, "progress": step, "total": 9}
            yield _event({"method": "notifications/progress", "params": progress})
        if task.error is not None:
            yield _event({"id": request, "error": task.error})
            return
        yield _event(
            {
                "id": request,
                "result": {**(task.result or {}), "_meta": {RELATED: {"taskId": task.id}}},
            }
        )

    def _shown(self, task: Task) -> Body:
        return {**_state(task), "ttl": None, "pollInterval": self.interval_ms}


def _state(task: Task) -> Body:
    state = {
        "taskId": task.id,
        "status": task.status,
        "createdAt": CREATED,
        "lastUpdatedAt": CREATED,
    }
    return state if task.message is None else {**state, "statusMessage": task.message}


def _complete(**more: Any) -> Body:
    return {"resultType": "complete", **more}


def _tool(name: str, **more: Any) -> Body:
    return {"name": name, "inputSchema": {"type": "object"}, **more}


def _event(message: Body) -> str:
    return f"event: message\r\ndata: {json.dumps({'jsonrpc': '2.0', **message})}\r\n\r\n"
