"""FastMCP's client: `fastmcp_client.py URL HEADERS`. Its tasks are on where a server has them."""

import asyncio
import json
import sys
from typing import Any

from fastmcp import Client  # type: ignore[import-not-found]  # the peer's
from fastmcp.client.transports import (  # type: ignore[import-not-found]  # the peer's
    StreamableHttpTransport,
)
from mcp import MCPError

from tests.interop.peers.lines import Heard, run


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


async def main(url: str, headers: str) -> None:
    async with Client(StreamableHttpTransport(url, headers=json.loads(headers))) as client:
        await run(FastMcp(client))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
