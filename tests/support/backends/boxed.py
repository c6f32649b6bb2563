"""A server whose tool hands files over, or tries to: `boxed.py stdio` or `boxed.py http PORT`."""

import os
import sys
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import CallToolResult, ResourceLink, TextContent

server = MCPServer("boxed")
OUTBOX = "longhaul/outbox"


def meta(ctx: Context) -> dict[str, Any]:
    return {**(ctx.request_context.meta or {})}


@server.tool(meta={OUTBOX: True})
async def hand_over(
    ctx: Context, files: dict[str, str], links: list[str] | None = None, media: str = "text/csv"
) -> CallToolResult:
    """Writes the files and links to them, and to these; BOX is the folder."""
    box = meta(ctx).get(OUTBOX)
    if box is None:
        return CallToolResult(content=[TextContent(text="no outbox")])
    folder = Path(box)
    found = sorted(each.name for each in folder.iterdir())
    for name, text in files.items():
        (folder / name).write_text(text)
    uris = [(folder / name).as_uri() for name in files]
    uris += [link.replace("BOX", folder.as_uri()) for link in links or ()]
    return CallToolResult(
        content=[
            TextContent(text="here"),
            *(ResourceLink(name="it", uri=uri, mime_type=media) for uri in uris),
        ],
        structured_content={"uris": uris, "found": found, "box": box},
    )


@server.tool(meta={OUTBOX: True})
async def leave_and_die(ctx: Context, text: str) -> CallToolResult:
    """Leaves half of it and dies; called again, it hands over both halves."""
    half = Path(meta(ctx)[OUTBOX]) / "half"
    if not half.exists():
        half.write_text(text)
        os._exit(9)
    half.write_text(half.read_text() + text)
    return CallToolResult(content=[ResourceLink(name="it", uri=half.as_uri())])


@server.tool(meta={OUTBOX: True})
async def trick(ctx: Context, kind: str, there: str) -> CallToolResult:
    """Links to something in its outbox that is no file of its own."""
    it = Path(meta(ctx)[OUTBOX]) / "it"
    match kind:
        case "symbolic link":
            it.symlink_to(there)
        case "folder":
            it.mkdir()
        case "pipe":
            os.mkfifo(it)
    return CallToolResult(content=[ResourceLink(name="it", uri=it.as_uri())])


@server.tool()
async def told(ctx: Context) -> list[str]:
    """What a tool that does not ask for an outbox is told."""
    return sorted(meta(ctx))


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        uvicorn.run(server.streamable_http_app(), port=int(sys.argv[2]), log_level="warning")
