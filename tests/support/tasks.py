"""A client of tasks, by hand: both dialects over plain HTTP."""

from dataclasses import dataclass
from typing import Any

import httpx2

from tests.support.routers import LegacyClient, last_message, modern_call
from tests.support.waiting import until_answered

EXTENSION = "io.modelcontextprotocol/tasks"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
DECLARED: dict[str, Any] = {CAPABILITIES: {"extensions": {EXTENSION: {}}}}
ENDED = {"completed", "failed", "cancelled"}


@dataclass(frozen=True)
class TaskClient:
    """Of 2026-07-28; it declares the extension unless a request says otherwise."""

    http: httpx2.AsyncClient
    url: str
    headers: dict[str, str] | None = None
    declared: Any = None  # its capabilities; None: the extension alone

    async def request(
        self, method: str, *, tool: str = "", headers: dict[str, str] | None = None, **params: Any
    ) -> dict[str, Any]:
        """The response, a result or an error."""
        meta = DECLARED if self.declared is None else {CAPABILITIES: self.declared}
        meta = meta | params.pop("meta", {})
        request = modern_call(
            tool, params.pop("arguments", None), meta=meta, method=method, **params
        )
        request["headers"] |= (self.headers or {}) | (headers or {})
        response = await self.http.post(self.url, **request)
        body: dict[str, Any] = (
            last_message(response.text)
            if "event-stream" in response.headers["content-type"]
            else response.json()
        )
        return body

    async def call(self, tool: str, arguments: Any = None, **params: Any) -> dict[str, Any]:
        """The result of a call, which may be a task."""
        answer = await self.request("tools/call", tool=tool, arguments=arguments, **params)
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def get(self, task: str) -> dict[str, Any]:
        answer = await self.request("tasks/get", taskId=task)
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def until(self, task: str, *statuses: str) -> dict[str, Any]:
        """The task, once it has one of these statuses; else once it has ended."""

        async def reached() -> dict[str, Any] | None:
            shown = await self.get(task)
            return shown if shown["status"] in (statuses or ENDED) else None

        shown = await until_answered(reached)
        assert shown is not None
        return shown


async def legacy_request(client: LegacyClient, method: str, **params: Any) -> dict[str, Any]:
    """The response to a request of 2025-11-25, a result or an error."""
    return last_message((await client.post(method, params, id=5)).text)
