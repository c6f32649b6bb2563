"""FastMCP's client: `fastmcp_client.py URL HEADERS NAME`; its calls are tasks where it sees fit."""

import asyncio
import json
import sys
from typing import Any

from fastmcp import Client  # type: ignore[import-not-found]  # the peer's
from fastmcp.client.transports import (  # type: ignore[import-not-found]  # the peer's
    StreamableHttpTransport,
)
from fastmcp_tasks.client import (  # type: ignore[import-not-found]  # the peer's
    call_tool_task,
)
from mcp import MCPError
from mcp_types import ElicitResult, Implementation

from tests.interop.peers.lines import Heard, Inquiry, Outcome, Step, run


class FastMcp:
    refusal = MCPError

    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def version(self) -> str:
        return str(self._client.protocol_version)

    async def tools(self) -> list[str]:
        return [tool.name for tool in await self._client.list_tools()]

    async def call(
        self, tool: str, arguments: dict[str, Any], heard: Heard | None
    ) -> dict[str, Any]:
        result = await self._client.call_tool_mcp(tool, arguments, progress_handler=heard)
        dumped: dict[str, Any] = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        return dumped

    async def withdraw(self) -> None:
        """The library tells the server when the task is cancelled."""


class Handles:
    """Tasks of this library: what it calls a handle, by the id of its task."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._handles: dict[str, Any] = {}

    async def begin(self, step: Step) -> Outcome:
        handle = await call_tool_task(
            self._client, step["tool"], step["arguments"], raise_on_error=False
        )
        self._handles[handle.task_id] = handle
        return {"task": handle.task_id, "status": handle.create_result.status}

    async def status(self, step: Step) -> Outcome:
        seen = await self._handles[step["task"]].status()
        return {"status": seen.status, "message": seen.status_message}

    async def result(self, step: Step) -> Outcome:
        """It polls, and answers questions on the way."""
        result = await self._handles[step["task"]].result()
        return {
            "text": result.content[0].text,
            "structured": result.structured_content,
            "is_error": result.is_error,
        }

    async def stop(self, step: Step) -> Outcome:
        await self._handles[step["task"]].cancel()
        return {}


async def main(url: str, headers: str, name: str) -> None:
    transport = StreamableHttpTransport(url, headers=json.loads(headers))
    inquiry = Inquiry()

    async def answer(question: str, *_: Any) -> Any:
        return ElicitResult(**inquiry.answer(question))

    me = Implementation(name=name, version="1")
    async with Client(transport, client_info=me, elicitation_handler=answer) as client:
        tasks = Handles(client)
        more = {
            "begin": tasks.begin,
            "status": tasks.status,
            "end": tasks.result,
            "stop": tasks.stop,
        }
        await run(FastMcp(client), inquiry, more)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
