"""A 2026-07-28 server of the SDK whose tools ask: `asking.py stdio` or `asking.py http PORT`.

Every leg of a call is a line in the call's log. States are sealed with a key of this process, and
taken back for `ASKING_TTL` seconds.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import Elicit, ListRoots, Resolve, Sample
from mcp.server.request_state import RequestStateSecurity
from mcp_types import (
    CallToolResult,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitRequestURLParams,
    InputRequiredResult,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel, Field

TTL = float(os.environ.get("ASKING_TTL", "600"))
server = MCPServer("asking", request_state_security=RequestStateSecurity.ephemeral(ttl=TTL))


class Name(BaseModel):
    name: str = Field(min_length=2)


class Colour(BaseModel):
    colour: str


def ask_name() -> Elicit[Name]:
    return Elicit("What is your name?", Name)


def ask_colour(name: Annotated[Name, Resolve(ask_name)]) -> Elicit[Colour]:
    return Elicit(f"And your colour, {name.name}?", Colour)


def ask_model() -> Sample:
    said = TextContent(text="Tell a story")
    return Sample([SamplingMessage(role="user", content=said)], max_tokens=10)


def ask_roots() -> ListRoots:
    return ListRoots()


@server.tool()
async def greet(log: str, name: Annotated[Name, Resolve(ask_name)]) -> str:
    note(log, "greet")
    return f"hello {name.name}"


@server.tool()
async def rounds(
    log: str,
    name: Annotated[Name, Resolve(ask_name)],
    colour: Annotated[Colour, Resolve(ask_colour)],
) -> str:
    note(log, "rounds")
    return f"{name.name} likes {colour.colour}"


@server.tool()
async def survey(
    name: Annotated[Name, Resolve(ask_name)],
    story: Annotated[CreateMessageResult, Resolve(ask_model)],
    roots: Annotated[ListRootsResult, Resolve(ask_roots)],
) -> str:
    text = story.content.text if isinstance(story.content, TextContent) else "?"
    return f"{name.name}: {text} in {', '.join(str(root.uri) for root in roots.roots)}"


@server.tool()
async def blunt(log: str, ctx: Context) -> CallToolResult | InputRequiredResult:
    """Asks whatever the caller has declared, and says what came."""
    answers, state = ctx.input_responses, ctx.request_state
    note(log, f"blunt {state or 'first'}")
    if state is None:
        params = ElicitRequestFormParams(
            message="Go on?",
            requested_schema={"type": "object", "properties": {"ok": {"type": "boolean"}}},
        )
        return InputRequiredResult(
            input_requests={"ok": ElicitRequest(params=params)}, request_state="asked é/+="
        )
    said = {key: each.model_dump(exclude_none=True) for key, each in (answers or {}).items()}
    return CallToolResult(content=[TextContent(text=str(said))])


@server.tool()
async def visit(ctx: Context) -> CallToolResult | InputRequiredResult:
    """Asks for a page to be looked at."""
    if ctx.request_state is None:
        params = ElicitRequestURLParams(message="Sign in", url="https://sign.test/in")
        return InputRequiredResult(
            input_requests={"page": ElicitRequest(params=params)}, request_state="at the page"
        )
    said = (ctx.input_responses or {})["page"].model_dump(exclude_none=True)
    return CallToolResult(content=[TextContent(text=f"{said['action']}ed")])


@server.tool()
async def steps(log: str, count: int, ctx: Context) -> CallToolResult | InputRequiredResult:
    """Asks nothing, and wants to be called again so often."""
    note(log, f"steps {ctx.request_state}")
    step = int(ctx.request_state or 0)
    if step < count:
        return InputRequiredResult(request_state=str(step + 1))
    return CallToolResult(content=[TextContent(text=f"{step} steps")])


def note(log: str, line: str) -> None:
    with Path(log).open("a") as file:
        file.write(f"{line}\n")


def main(arguments: list[str]) -> None:
    if arguments[0] == "stdio":
        server.run()
    else:
        app: Any = server.streamable_http_app()
        uvicorn.run(app, port=int(arguments[1]), log_level="warning", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main(sys.argv[1:])
