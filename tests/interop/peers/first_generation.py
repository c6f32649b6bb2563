"""The client of the SDK's first generation (mcp 1.x): `first_generation.py URL HEADERS`."""

import asyncio
import json
import sys
from typing import Any

import mcp  # 1.x where this runs, so that its names are not those that a type checker knows here
from mcp.client import streamable_http

from tests.interop.peers.lines import Heard, Inquiry, Outcome, Step, run

sdk: Any = mcp
connect: Any = getattr(streamable_http, "streamablehttp_client")  # noqa: B009 - of 1.x only


class FirstGeneration:
    refusal: type[Exception] = sdk.McpError

    def __init__(self, session: Any, version: str) -> None:
        self._session = session
        self.version = version

    async def tools(self) -> list[str]:
        return [tool.name for tool in (await self._session.list_tools()).tools]

    async def call(
        self, tool: str, arguments: dict[str, Any], heard: Heard | None
    ) -> dict[str, Any]:
        result = await self._session.call_tool(tool, arguments, progress_callback=heard)
        dumped: dict[str, Any] = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        return dumped

    async def withdraw(self) -> None:
        """This generation leaves the notification to whoever calls."""
        last = self._session._request_id - 1
        about = sdk.types.CancelledNotificationParams(requestId=last, reason="asked to")
        notification = sdk.types.CancelledNotification(
            method="notifications/cancelled", params=about
        )
        await self._session.send_notification(sdk.types.ClientNotification(notification))


class Tasks:
    """The experimental tasks of this generation."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._tasks = session.experimental

    async def begin(self, step: Step) -> Outcome:
        created = await self._tasks.call_tool_as_task(step["tool"], step["arguments"])
        return {"task": created.task.taskId, "status": created.task.status}

    async def status(self, step: Step) -> Outcome:
        seen = await self._tasks.get_task(step["task"])
        return {"status": seen.status, "message": seen.statusMessage}

    async def result(self, step: Step) -> Outcome:
        """Polled to its end or to a question, which is asked while one waits for the result."""
        async for seen in self._tasks.poll_task(step["task"]):
            if seen.status == "input_required":
                break
        result = await self._tasks.get_task_result(step["task"], sdk.types.CallToolResult)
        return {
            "text": result.content[0].text,
            "structured": result.structuredContent,
            "is_error": result.isError,
            "status": (await self._tasks.get_task(step["task"])).status,
        }

    async def stop(self, step: Step) -> Outcome:
        return {"status": (await self._tasks.cancel_task(step["task"])).status}

    async def all(self, step: Step) -> Outcome:
        del step
        return {"tasks": [task.taskId for task in (await self._tasks.list_tasks()).tasks]}


async def main(url: str, headers: str) -> None:
    inquiry = Inquiry()

    async def answer(_: Any, asked: Any) -> Any:
        return sdk.types.ElicitResult(**inquiry.answer(asked.message))

    async with (
        connect(url, headers=json.loads(headers)) as (read, write, _),
        sdk.ClientSession(read, write, elicitation_callback=answer) as session,
    ):
        greeting = await session.initialize()
        tasks = Tasks(session)
        more = {
            "begin": tasks.begin,
            "status": tasks.status,
            "end": tasks.result,
            "stop": tasks.stop,
            "tasks": tasks.all,
        }
        await run(FirstGeneration(session, greeting.protocolVersion), inquiry, more)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
