"""The backend of every path measured: `echo` at once, `hold` after some seconds."""

import asyncio
import sys
from typing import Any

import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, TextContent, Tool
from starlette.applications import Starlette
from starlette.routing import Mount

ECHO = Tool(
    name="echo",
    description="Says what it was told.",
    input_schema={
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
    },
)


HOLD = Tool(
    name="hold",
    description="Answers after some seconds.",
    input_schema={"type": "object", "properties": {"seconds": {"type": "number"}}},
)
ERRAND = ECHO.model_copy(update={"name": "errand", "description": "The same, meant for tasks."})
TOOLS = [ECHO, HOLD, ERRAND]
SCHEMAS = {tool.name: tool.input_schema for tool in TOOLS}


async def list_tools(_context: ServerRequestContext[Any], _params: Any) -> ListToolsResult:
    return ListToolsResult(tools=TOOLS)


async def call_tool(
    _context: ServerRequestContext[Any], params: CallToolRequestParams
) -> CallToolResult:
    arguments = params.arguments or {}
    await asyncio.sleep(arguments.get("seconds", 0))
    text = arguments.get("text", "")
    return CallToolResult(content=[TextContent(type="text", text=text)])


def main() -> None:
    server = Server(
        "echo",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        get_tool_input_schema=SCHEMAS.get,
    )
    server.middleware.clear()
    manager = StreamableHTTPSessionManager(server)
    app = Starlette(
        routes=[Mount("/", app=manager.handle_request)], lifespan=lambda _: manager.run()
    )
    # The proxy's client does not survive a keep-alive connection that the backend has closed; that
    # is not what is measured here.
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="error",
        timeout_keep_alive=3600,
    )


main()
