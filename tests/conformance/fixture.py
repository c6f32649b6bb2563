"""The backend that the official conformance suite is run against, through Longhaul or directly.

A server of both protocol eras that offers what the suite's scenarios call. It knows nothing of
Longhaul; the tools of the `tasks-*` scenarios are ordinary tools here, because making tasks of
them is the router's work. `python -m tests.conformance.fixture --port N`, or `--stdio`.
"""

import argparse
import warnings
from typing import Any

import anyio
import uvicorn
from mcp import MCPDeprecationWarning
from mcp.server.caching import CacheHint
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    PromptsListChanged,
    ServerEvent,
    ToolsListChanged,
)
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    EmptyResult,
    GetPromptRequestParams,
    GetPromptResult,
    InputRequiredResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    Prompt,
    ReadResourceRequestParams,
    ReadResourceResult,
    Tool,
)

from tests.conformance.asking import Ctx
from tests.conformance.content import PROMPTS, RESOURCES, TEMPLATES, prompt, resource
from tests.conformance.questions import ASKING, prompt_with_question
from tests.conformance.replay import RememberedEvents
from tests.conformance.tools import ANSWERING, Handler, fixed, text, tool

_LISTS = CacheHint(ttl_ms=1_000, scope="public")
_MORE_TOOL = tool("test_appearing_tool", "Is there after every second trigger")
_MORE_PROMPT = Prompt(name="test_appearing_prompt", description="Is there now and then")


class Fixture:
    """What the server offers right now; the two triggers change the lists."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self.more_tool = False
        self.more_prompt = False
        self.handlers: dict[str, tuple[Tool, Handler]] = {
            each.name: (each, handler) for each, handler in [*ANSWERING, *ASKING]
        }
        for name, handler in (
            ("test_trigger_tool_change", self.change_tools),
            ("test_trigger_prompt_change", self.change_prompts),
        ):
            self.handlers[name] = (tool(name, "Changes a list and says so"), handler)

    @property
    def tools(self) -> list[Tool]:
        return [each for each, _ in self.handlers.values()]

    def schema(self, name: str) -> dict[str, Any] | None:
        return self.handlers[name][0].input_schema if name in self.handlers else None

    async def change_tools(self, _ctx: Ctx, _params: CallToolRequestParams) -> CallToolResult:
        if self.handlers.pop(_MORE_TOOL.name, None) is None:
            self.handlers[_MORE_TOOL.name] = (_MORE_TOOL, fixed())
        return await self._told(ToolsListChanged())

    async def change_prompts(self, _ctx: Ctx, _params: CallToolRequestParams) -> CallToolResult:
        self.more_prompt = not self.more_prompt
        return await self._told(PromptsListChanged())

    async def _told(self, event: ServerEvent) -> CallToolResult:
        await self.bus.publish(event)
        return text("The list has changed.")

    async def list_tools(self, _ctx: Ctx, _params: object) -> ListToolsResult:
        return ListToolsResult(tools=self.tools)

    async def call_tool(
        self, ctx: Ctx, params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        if params.name not in self.handlers:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
        return await self.handlers[params.name][1](ctx, params)

    async def list_prompts(self, _ctx: Ctx, _params: object) -> ListPromptsResult:
        return ListPromptsResult(prompts=[*PROMPTS, *([_MORE_PROMPT] * self.more_prompt)])

    async def get_prompt(
        self, ctx: Ctx, params: GetPromptRequestParams
    ) -> GetPromptResult | InputRequiredResult:
        if params.name == "test_input_required_result_prompt":
            return await prompt_with_question(ctx, params)
        return prompt(params.name, params.arguments or {})


async def list_resources(_ctx: Ctx, _params: object) -> ListResourcesResult:
    return ListResourcesResult(resources=RESOURCES)


async def list_templates(_ctx: Ctx, _params: object) -> ListResourceTemplatesResult:
    return ListResourceTemplatesResult(resource_templates=TEMPLATES)


async def read_resource(_ctx: Ctx, params: ReadResourceRequestParams) -> ReadResourceResult:
    return resource(str(params.uri))


async def complete(_ctx: Ctx, params: CompleteRequestParams) -> CompleteResult:
    words = [
        word for word in ("testament", "testing", "test") if word.startswith(params.argument.value)
    ]
    return CompleteResult(completion=Completion(values=words, total=len(words), has_more=False))


async def accept(_ctx: Ctx, _params: object) -> EmptyResult:
    return EmptyResult()


def build_server() -> Server[Any]:
    fixture = Fixture()
    with warnings.catch_warnings():
        # Clients before 2026-07-28 still set a logging level; the suite checks it.
        warnings.simplefilter("ignore", MCPDeprecationWarning)
        server: Server[Any] = Server(
            "conformance-fixture",
            version="1.0.0",
            cache_hints={
                "tools/list": _LISTS,
                "prompts/list": _LISTS,
                "resources/list": _LISTS,
                "resources/templates/list": _LISTS,
                "resources/read": _LISTS,
            },
            get_tool_input_schema=fixture.schema,
            on_list_tools=fixture.list_tools,
            on_call_tool=fixture.call_tool,
            on_list_prompts=fixture.list_prompts,
            on_get_prompt=fixture.get_prompt,
            on_list_resources=list_resources,
            on_list_resource_templates=list_templates,
            on_read_resource=read_resource,
            on_subscribe_resource=accept,
            on_unsubscribe_resource=accept,
            on_subscriptions_listen=ListenHandler(fixture.bus),
            on_completion=complete,
            on_set_logging_level=accept,
        )
    sealed = RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=server.name)
    server.middleware.append(sealed)
    return server


async def serve_stdio(server: Server[Any]) -> None:
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.conformance.fixture", description=__doc__)
    parser.add_argument("--port", type=int, default=3900)
    parser.add_argument("--stdio", action="store_true")
    arguments = parser.parse_args()
    server = build_server()
    if arguments.stdio:
        anyio.run(serve_stdio, server)
        return
    app = server.streamable_http_app(event_store=RememberedEvents(), retry_interval=100)
    # h11 trims the white space around a header's value; the other parser leaves it to the reader.
    uvicorn.run(
        app, port=arguments.port, http="h11", log_level="warning", timeout_graceful_shutdown=1
    )


if __name__ == "__main__":
    main()
