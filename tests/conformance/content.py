"""The fixture's prompts and resources."""

import json
import re

from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    BlobResourceContents,
    ContentBlock,
    GetPromptResult,
    ImageContent,
    Prompt,
    PromptArgument,
    PromptMessage,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextContent,
    TextResourceContents,
)

from tests.conformance.tools import PNG, embedded

PROMPTS = [
    Prompt(name="test_simple_prompt", description="A prompt without arguments"),
    Prompt(
        name="test_prompt_with_arguments",
        description="A prompt with two arguments",
        arguments=[
            PromptArgument(name="arg1", description="The first", required=True),
            PromptArgument(name="arg2", description="The second", required=True),
        ],
    ),
    Prompt(
        name="test_prompt_with_embedded_resource",
        description="A prompt that carries a resource",
        arguments=[PromptArgument(name="resourceUri", description="Which", required=True)],
    ),
    Prompt(name="test_prompt_with_image", description="A prompt that carries an image"),
    Prompt(name="test_input_required_result_prompt", description="A prompt that asks first"),
]

RESOURCES = [
    Resource(name="static-text", uri="test://static-text", mime_type="text/plain"),
    Resource(name="static-binary", uri="test://static-binary", mime_type="image/png"),
    Resource(name="watched-resource", uri="test://watched-resource", mime_type="text/plain"),
]

TEMPLATES = [
    ResourceTemplate(
        name="template", uri_template="test://template/{id}/data", mime_type="application/json"
    )
]

_TEXTS = {
    "test://static-text": "This is the content of the static text resource.",
    "test://watched-resource": "Watched resource content",
}


def _message(content: ContentBlock) -> PromptMessage:
    return PromptMessage(role="user", content=content)


def prompt(name: str, arguments: dict[str, str]) -> GetPromptResult:
    """A prompt that needs no question; raises the protocol's error for an unknown one."""
    match name:
        case "test_simple_prompt":
            messages = [_message(TextContent(text="This is a simple prompt for testing."))]
        case "test_prompt_with_arguments":
            line = "Prompt with arguments: arg1='{arg1}', arg2='{arg2}'".format_map(arguments)
            messages = [_message(TextContent(text=line))]
        case "test_prompt_with_embedded_resource":
            uri = arguments["resourceUri"]
            messages = [
                _message(embedded(uri, "text/plain", "Embedded resource content for testing.")),
                _message(TextContent(text="Please process the embedded resource above.")),
            ]
        case "test_prompt_with_image":
            messages = [
                _message(ImageContent(data=PNG, mime_type="image/png")),
                _message(TextContent(text="Please analyze the image above.")),
            ]
        case _:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {name}")
    return GetPromptResult(messages=messages)


def resource(uri: str) -> ReadResourceResult:
    """The contents at `uri`; raises the protocol's error for an unknown one."""
    content: TextResourceContents | BlobResourceContents
    if uri in _TEXTS:
        content = TextResourceContents(uri=uri, mime_type="text/plain", text=_TEXTS[uri])
    elif uri == "test://static-binary":
        content = BlobResourceContents(uri=uri, mime_type="image/png", blob=PNG)
    elif found := re.fullmatch(r"test://template/([^/]+)/data", uri):
        key = found[1]
        body = json.dumps({"id": key, "templateTest": True, "data": f"Data for ID: {key}"})
        content = TextResourceContents(uri=uri, mime_type="application/json", text=body)
    else:
        raise MCPError(INVALID_PARAMS, "Resource not found", {"uri": uri})
    return ReadResourceResult(contents=[content])
