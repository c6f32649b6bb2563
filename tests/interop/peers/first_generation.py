"""The client of the SDK's first generation (mcp 1.x): `first_generation.py URL HEADERS`."""

import asyncio
import json
import sys
from typing import Any

import mcp  # 1.x where this runs, so that its names are not those that a type checker knows here
from mcp.client import streamable_http

from tests.interop.peers.lines import Heard, run

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


async def main(url: str, headers: str) -> None:
    async with (
        connect(url, headers=json.loads(headers)) as (read, write, _),
        sdk.ClientSession(read, write) as session,
    ):
        answer = await session.initialize()
        await run(FirstGeneration(session, answer.protocolVersion))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
