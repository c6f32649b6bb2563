"""The official SDK's client: `official.py URL HEADERS NAME MODE`."""

import asyncio
import json
import sys
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp.client.session import ClientRequestContext
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitRequestParams, ElicitResult, Implementation

from tests.interop.peers.lines import Heard, Inquiry, run


class Official:
    refusal = MCPError

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def version(self) -> str:
        return self._client.protocol_version

    async def tools(self) -> list[str]:
        return [tool.name for tool in (await self._client.list_tools()).tools]

    async def call(
        self, tool: str, arguments: dict[str, Any], heard: Heard | None
    ) -> dict[str, Any]:
        result = await self._client.call_tool(tool, arguments, progress_callback=heard)
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)

    async def withdraw(self) -> None:
        """The library tells the server when the task is cancelled."""


async def main(url: str, headers: str, name: str, mode: Any) -> None:
    inquiry = Inquiry()

    async def answer(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        del context
        return ElicitResult(**inquiry.answer(params.message))

    async with httpx2.AsyncClient(headers=json.loads(headers), timeout=60) as http:
        transport = streamable_http_client(url, http_client=http)
        me = Implementation(name=name, version="1")
        async with Client(
            transport, mode=mode, client_info=me, elicitation_callback=answer
        ) as client:
            await run(Official(client), inquiry)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
