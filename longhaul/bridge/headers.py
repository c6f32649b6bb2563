"""The headers that a 2026-07-28 request needs on HTTP, made from its body. Pure."""

from collections.abc import Mapping
from typing import Any

from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)

from longhaul.bridge.messages import CALL, Message

# The tasks extension adds to what the core protocol names.
_NAMED = {
    **NAME_BEARING_METHODS,
    "tasks/get": "taskId",
    "tasks/update": "taskId",
    "tasks/cancel": "taskId",
}

HeaderMap = Mapping[tuple[str, ...], str]  # property path -> what follows Mcp-Param-


def header_map(input_schema: Any) -> HeaderMap:
    """Which arguments of a tool travel as headers, too."""
    if find_invalid_x_mcp_header(input_schema) is not None:
        return {}
    return x_mcp_header_map(input_schema)


def modern_headers(message: Message, mirrored: HeaderMap) -> dict[str, str]:
    """For a request, or for a notification, whose `version` is known."""
    headers = {
        MCP_PROTOCOL_VERSION_HEADER: encode_header_value(str(message.version)),
        MCP_METHOD_HEADER: encode_header_value(message.method or ""),
    }
    name = message.params.get(_NAMED.get(message.method or "", ""))
    if isinstance(name, str):
        headers[MCP_NAME_HEADER] = encode_header_value(name)
    arguments = message.params.get("arguments")
    if message.method == CALL and isinstance(arguments, Mapping):
        headers |= mcp_param_headers(mirrored, arguments)
    return headers
