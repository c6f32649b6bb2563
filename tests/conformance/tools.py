"""The fixture's tools that only answer: fixed content, errors, progress, logs, time.

Names and texts are the official suite's (its `list` command describes each).
"""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolRequestParams,
    CallToolResult,
    ClientCapabilities,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    InputRequiredResult,
    SamplingCapability,
    TextContent,
    TextResourceContents,
    Tool,
)

from tests.conformance.asking import Ctx

Handler = Callable[[Ctx, CallToolRequestParams], Awaitable[CallToolResult | InputRequiredResult]]

# One grey pixel, and a sound of no length.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNoAAAAggCB2kUIOwAAAABJRU5ErkJggg=="
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA="

SCHEMA_2020_12: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}


def tool(
    name: str,
    description: str,
    /,
    *,
    required: tuple[str, ...] = (),
    **properties: dict[str, Any],
) -> Tool:
    schema = {"type": "object", "properties": properties, "required": list(required)}
    return Tool(name=name, description=description, input_schema=schema)


def text(line: str, *, is_error: bool = False) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=line)], is_error=is_error)


def fixed(*content: ContentBlock, is_error: bool = False) -> Handler:
    async def handle(_ctx: Ctx, _params: CallToolRequestParams) -> CallToolResult:
        return CallToolResult(content=list(content), is_error=is_error)

    return handle


def embedded(uri: str, mime_type: str, body: str) -> EmbeddedResource:
    return EmbeddedResource(resource=TextResourceContents(uri=uri, mime_type=mime_type, text=body))


async def progress(ctx: Ctx, _params: CallToolRequestParams) -> CallToolResult:
    for done in (0, 50, 100):
        await ctx.session.report_progress(done, 100, f"Completed step {done} of 100")
        await anyio.sleep(0.05)
    return text("Three steps, each told.")


async def logging(ctx: Ctx, _params: CallToolRequestParams) -> CallToolResult:
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", line, related_request_id=ctx.request_id)
        await anyio.sleep(0.05)
    return text("Three lines, each logged.")


async def reconnection(ctx: Ctx, _params: CallToolRequestParams) -> CallToolResult:
    """Close the stream in the middle of the call: the result waits for whoever comes back."""
    if ctx.close_sse_stream is not None:
        await ctx.close_sse_stream()
    await anyio.sleep(0.2)
    return text("Reconnection test completed.")


async def missing_capability(ctx: Ctx, _params: CallToolRequestParams) -> CallToolResult:
    needed = ClientCapabilities(sampling=SamplingCapability())
    if not ctx.session.check_client_capability(needed):
        raise MCPError(
            MISSING_REQUIRED_CLIENT_CAPABILITY,
            "This tool needs sampling",
            {"requiredCapabilities": {"sampling": {}}},
        )
    return text("Sampling is there.")


async def region(_ctx: Ctx, params: CallToolRequestParams) -> CallToolResult:
    return text(f"Region: {(params.arguments or {}).get('region')}")


async def greet(_ctx: Ctx, params: CallToolRequestParams) -> CallToolResult:
    return text(f"Hello, {(params.arguments or {}).get('name')}!")


async def slow_compute(_ctx: Ctx, params: CallToolRequestParams) -> CallToolResult:
    arguments = params.arguments or {}
    await anyio.sleep(float(arguments.get("seconds", 0)))
    return text(f"Computed {arguments.get('label', 'nothing in particular')}.")


async def failing_job(_ctx: Ctx, _params: CallToolRequestParams) -> CallToolResult:
    await anyio.sleep(1.2)  # longer than a router may wait before it hands out a task
    return text("This job always fails.", is_error=True)


async def protocol_error_job(_ctx: Ctx, _params: CallToolRequestParams) -> CallToolResult:
    await anyio.sleep(1.2)
    raise MCPError(INTERNAL_ERROR, "This job ends in a protocol error")


_STRING = {"type": "string"}
_IMAGE = ImageContent(data=PNG, mime_type="image/png")

ANSWERING: list[tuple[Tool, Handler]] = [
    (
        tool("test_simple_text", "Answers with text"),
        fixed(TextContent(text="This is a simple text response for testing.")),
    ),
    (tool("test_image_content", "Answers with an image"), fixed(_IMAGE)),
    (
        tool("test_audio_content", "Answers with a sound"),
        fixed(AudioContent(data=WAV, mime_type="audio/wav")),
    ),
    (
        tool("test_embedded_resource", "Answers with an embedded resource"),
        fixed(
            embedded(
                "test://embedded-resource",
                "text/plain",
                "This is an embedded resource content.",
            )
        ),
    ),
    (
        tool("test_multiple_content_types", "Answers with text, an image and a resource"),
        fixed(
            TextContent(text="Multiple content types test:"),
            _IMAGE,
            embedded(
                "test://mixed-content-resource", "application/json", '{"test":"data","value":123}'
            ),
        ),
    ),
    (
        tool("test_error_handling", "Answers with a tool error"),
        fixed(
            TextContent(text="This tool intentionally returns an error for testing"),
            is_error=True,
        ),
    ),
    (
        Tool(
            name="json_schema_2020_12_tool",
            description="Has a schema with the keywords of JSON Schema 2020-12",
            input_schema=SCHEMA_2020_12,
        ),
        fixed(TextContent(text="The arguments fit.")),
    ),
    (tool("test_tool_with_progress", "Tells its progress"), progress),
    (tool("test_tool_with_logging", "Logs while it works"), logging),
    (tool("test_logging_tool", "Logs while it works"), logging),
    (tool("test_reconnection", "Closes its stream in mid-call"), reconnection),
    (tool("test_missing_capability", "Needs a client that can sample"), missing_capability),
    (
        tool(
            "test_x_mcp_header",
            "Has an argument that travels in a header too",
            required=("region",),
            region={"type": "string", "x-mcp-header": "Region"},
        ),
        region,
    ),
    (tool("greet", "Greets at once", required=("name",), name=_STRING), greet),
    (
        tool("slow_compute", "Takes its time", seconds={"type": "number"}, label=_STRING),
        slow_compute,
    ),
    (tool("failing_job", "Takes its time and fails"), failing_job),
    (tool("protocol_error_job", "Takes its time and breaks"), protocol_error_job),
]
