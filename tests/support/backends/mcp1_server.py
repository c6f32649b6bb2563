"""A server of the SDK's first generation (mcp 1.x), run by the python of its own peer venv.

`mcp1_server.py stdio`, or `streamable-http PORT`, or `sse PORT`.
"""

import sys

import anyio
from mcp.server.fastmcp import (  # type: ignore[attr-defined]  # mcp 1.x, not ours
    Context,
    FastMCP,
)

server = FastMCP("first generation", port=int(sys.argv[2]) if len(sys.argv) > 2 else 0)


@server.tool()  # type: ignore[untyped-decorator]  # as above
async def steps(count: int, ctx: Context) -> str:
    for step in range(count):
        await ctx.report_progress(step + 1, count)
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


server.run(sys.argv[1])
