"""A server of the SDK's first generation (mcp 1.x), run by the python of its own peer venv.

`mcp1_server.py stdio`, or `streamable-http PORT`, or `sse PORT`.
"""

import sys
from pathlib import Path

import anyio
from mcp.server.fastmcp import (  # type: ignore[attr-defined]  # mcp 1.x, not ours
    Context,
    FastMCP,
)
from mcp.types import (
    ProgressNotification,
    ProgressNotificationParams,
    SamplingMessage,
    ServerNotification,
    TextContent,
)
from pydantic import BaseModel

server = FastMCP("first generation", port=int(sys.argv[2]) if len(sys.argv) > 2 else 0)


async def report(ctx: Context, step: int, count: int) -> None:
    """As `ctx.report_progress`, with a checkpoint, for which that has no place."""
    params = {
        "progressToken": ctx.request_context.meta.progressToken,
        "progress": step,
        "total": count,
        "_meta": {"longhaul/checkpoint": [step]},
    }
    said = ProgressNotification(
        method="notifications/progress", params=ProgressNotificationParams(**params)
    )
    await ctx.session.send_notification(
        ServerNotification(said),  # type: ignore[operator]  # as above
        related_request_id=ctx.request_id,
    )


@server.tool()  # type: ignore[untyped-decorator]  # as above
async def steps(count: int, ctx: Context) -> str:
    for step in range(count):
        await report(ctx, step + 1, count)
        await ctx.info(f"log {step + 1}")
    return "done"


@server.tool()  # type: ignore[untyped-decorator]  # as above
async def big(size: int) -> str:
    return "x" * size


@server.tool()  # type: ignore[untyped-decorator]  # as above
async def hang() -> str:
    sys.stderr.write("hanging\n")
    sys.stderr.flush()
    try:
        await anyio.sleep_forever()
    finally:
        sys.stderr.write("let go\n")
        sys.stderr.flush()
    return "never"


class Name(BaseModel):
    name: str


@server.tool()  # type: ignore[untyped-decorator]  # as above
async def greet(log: str, ctx: Context, times: int = 1) -> str:
    """Asks for a name, so often."""
    names = []
    for number in range(times):
        note(log, f"asks {number + 1}")
        try:
            asked = await ctx.elicit(f"Name {number + 1}?", Name)
        except anyio.get_cancelled_exc_class():
            note(log, "cancelled")
            raise
        names.append(asked.data.name if asked.action == "accept" else asked.action)
    return f"hello {' and '.join(names)}"


@server.tool()  # type: ignore[untyped-decorator]  # as above
async def tell(ctx: Context) -> str:
    """Asks a model."""
    story = await ctx.session.create_message(
        [SamplingMessage(role="user", content=TextContent(type="text", text="Tell"))],
        max_tokens=10,
        related_request_id=ctx.request_id,
    )
    return f"{story.model} says {story.content.text}"


def note(log: str, line: str) -> None:
    with Path(log).open("a") as file:
        file.write(f"{line}\n")


server.run(sys.argv[1])
