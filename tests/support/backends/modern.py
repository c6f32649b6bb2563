"""A 2026-07-28 server of the SDK, as a program: `modern.py stdio` or `modern.py http PORT`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import anyio
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import ProgressNotification, ProgressNotificationParams
from pydantic import Field

server = MCPServer("modern", instructions="Ask me.")


@server.tool()
async def echo(text: str) -> str:
    return text


@server.tool()
async def pid() -> int:
    return os.getpid()


@server.tool()
async def located(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})],
) -> str:
    """The SDK refuses a call whose `Mcp-Param-Region` does not say the same."""
    return region


@server.tool()
async def big(size: int) -> str:
    return "x" * size


async def report(ctx: Context, step: int, count: int) -> None:
    """As `ctx.report_progress`, with a checkpoint, for which that has no place."""
    token = (ctx.request_context.meta or {}).get("progress_token")
    if token is None:
        return
    params = ProgressNotificationParams(
        progress_token=token,
        progress=step,
        total=count,
        message=f"step {step}",
        _meta={"longhaul/checkpoint": [step]},
    )
    await ctx.session.send_notification(
        ProgressNotification(params=params), related_request_id=ctx.request_id
    )


@server.tool()
async def steps(count: int, ctx: Context) -> str:
    """Report progress and a log line per step."""
    for step in range(count):
        await report(ctx, step + 1, count)
        await ctx.info(f"log {step + 1}")
    return "done"


@server.tool()
async def hang(mark: str) -> str:
    """Runs until cancelled, and leaves a file that says which of both it was."""
    Path(f"{mark}.running").touch()
    try:
        await anyio.sleep_forever()
    finally:
        Path(f"{mark}.cancelled").touch()
    return "never"


@server.tool()
async def crash() -> str:
    sys.stderr.write("about to die\n")
    sys.stderr.flush()
    os._exit(7)


@server.tool()
async def grow(ctx: Context) -> str:
    """Offer one more tool from now on, and say so."""

    async def grown() -> str:
        return "grown"

    server.add_tool(grown)
    await ctx.notify_tools_changed()
    return "done"


def main(arguments: list[str]) -> None:
    if arguments[0] == "stdio":
        server.run()
    else:
        app = server.streamable_http_app()
        uvicorn.run(app, port=int(arguments[1]), log_level="warning", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main(sys.argv[1:])
