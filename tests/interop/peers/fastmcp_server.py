"""A server of FastMCP's, over stdio: two tools are always tasks, and two ask."""

from datetime import timedelta
from typing import Any

import anyio
from fastmcp import Context, FastMCP  # type: ignore[import-not-found]  # the peer's
from fastmcp.utilities.tasks import TaskConfig  # type: ignore[import-not-found]  # the peer's
from fastmcp_tasks import TasksExtension  # type: ignore[import-not-found]  # the peer's
from mcp_types import ElicitRequest, ElicitRequestFormParams, InputRequiredResult

server: Any = FastMCP("asks and rests")
server.add_extension(TasksExtension(url="memory://"))
QUESTION = ElicitRequest(
    params=ElicitRequestFormParams(
        message="Who goes there?",
        requested_schema={
            "type": "object",
            "properties": {"name": {"type": "string"}},
            "required": ["name"],
        },
    )
)


@server.tool(task=TaskConfig(mode="required"))  # type: ignore[untyped-decorator]  # as above
async def rest(seconds: float) -> str:
    await anyio.sleep(seconds)
    return f"rested for {seconds} s"


async def who(ctx: Context) -> str | InputRequiredResult:
    if not ctx.input_responses:
        return InputRequiredResult(input_requests={"who": QUESTION})
    answer = ctx.input_responses["who"]
    return f"{answer.content['name'] if answer.content else 'nobody'} goes there"


@server.tool(task=TaskConfig(mode="optional"))  # type: ignore[untyped-decorator]  # as above
async def ask(ctx: Context) -> str | InputRequiredResult:
    return await who(ctx)


# Looked at every five seconds, were it not for this.
SOON = TaskConfig(mode="required", poll_interval=timedelta(milliseconds=200))


@server.tool(task=SOON)  # type: ignore[untyped-decorator]  # as above
async def ask_and_rest(ctx: Context) -> str | InputRequiredResult:
    return await who(ctx)


if __name__ == "__main__":
    server.run("stdio", show_banner=False)
