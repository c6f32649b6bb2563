"""How a request is dressed for a backend's era: `_meta`, params and HTTP headers, minted anew."""

from collections.abc import Mapping
from importlib.metadata import version as installed_version
from typing import Any

from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    encode_header_value,
    mcp_param_headers,
)
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    INTERNAL_ERROR,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
)

from common.jobs.questions import KINDS
from workers.backends.base import Call, Era, InputRequired, ProtocolFailure

CLIENT_INFO = {"name": "longhaul", "version": installed_version("mcp-longhaul")}
TASKS_EXTENSION = "io.modelcontextprotocol/tasks"
TASK_KEPT_MS = 24 * 3_600_000  # how long a backend before 2026-07-28 should keep a task, at least
_RESERVED = "io.modelcontextprotocol/"

ParamHeaders = Mapping[tuple[str, ...], str]  # property path -> header token, of one tool


def modern_meta(protocol_version: str, capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """What every request of 2026-07-28 carries."""
    return {
        PROTOCOL_VERSION_META_KEY: protocol_version,
        CLIENT_INFO_META_KEY: CLIENT_INFO,
        CLIENT_CAPABILITIES_META_KEY: capabilities,
    }


def modern_headers(protocol_version: str, method: str) -> dict[str, str]:
    return {MCP_PROTOCOL_VERSION_HEADER: protocol_version, MCP_METHOD_HEADER: method}


def call_params(
    call: Call, era: Era, protocol_version: str, *, as_task: bool = False
) -> dict[str, Any]:
    """The params of `tools/call`. Reserved `_meta` of the caller's own connection stays behind.

    `as_task`: the backend may run it as a task of its own, whatever the caller knows of tasks.
    """
    meta = {
        key: value
        for key, value in call.meta.items()
        if not key.startswith(_RESERVED) and key != "progressToken"
    }
    params: dict[str, Any] = {"name": call.tool}
    if call.arguments is not None:
        params["arguments"] = call.arguments
    if era == "modern":
        capabilities = with_tasks if as_task else without_tasks
        meta |= modern_meta(protocol_version, capabilities(call.client_capabilities))
        if call.log_level is not None:
            meta[LOG_LEVEL_META_KEY] = call.log_level
        if call.input_responses is not None:
            params["inputResponses"] = call.input_responses
        if call.request_state is not None:
            params["requestState"] = call.request_state
    elif as_task:
        params["task"] = {"ttl": TASK_KEPT_MS}
    if meta:
        params["_meta"] = meta
    return params


def input_required(result: Mapping[str, Any]) -> InputRequired | None:
    """What a result of 2026-07-28 asks; None when it is the end of the call.

    Raises:
        ProtocolFailure: It asks something that nobody could answer.
    """
    if result.get("resultType") != "input_required":
        return None
    requests, state = questions_in(result), result.get("requestState")
    if not isinstance(state, str | None) or not (requests or state is not None):
        raise _unreadable()
    return InputRequired(requests, state)


def questions_in(body: Mapping[str, Any]) -> dict[str, Any]:
    """The `inputRequests` of a result or of a task.

    Raises:
        ProtocolFailure: One is something that nobody could answer.
    """
    requests = body.get("inputRequests") or {}
    if not isinstance(requests, dict) or not all(map(_is_question, requests.values())):
        raise _unreadable()
    return requests


def _unreadable() -> ProtocolFailure:
    return ProtocolFailure(INTERNAL_ERROR, "the backend asks something that cannot be read")


def _is_question(request: object) -> bool:
    if not isinstance(request, dict) or not isinstance(request.get("params", {}), dict):
        return False
    method = request.get("method")
    return isinstance(method, str) and method in KINDS


def call_headers(call: Call, protocol_version: str, param_headers: ParamHeaders) -> dict[str, str]:
    """The routing headers of a `tools/call` to a modern backend over HTTP."""
    return {
        **modern_headers(protocol_version, "tools/call"),
        MCP_NAME_HEADER: encode_header_value(call.tool),
        **mcp_param_headers(param_headers, call.arguments or {}),
    }


def task_headers(method: str, task: str, protocol_version: str) -> dict[str, str]:
    """The routing headers of a `tasks/…` request to a modern backend over HTTP."""
    return {
        **modern_headers(protocol_version, method),
        MCP_NAME_HEADER: encode_header_value(task),
    }


def with_tasks(capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's capabilities, and tasks, whose questions reach it all the same."""
    kept = without_tasks(capabilities)
    extensions = kept.get("extensions")
    others = extensions if isinstance(extensions, dict) else {}
    return {**kept, "extensions": {**others, TASKS_EXTENSION: {}}}


def without_tasks(capabilities: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's capabilities without tasks: the job is ours, the backend gives results."""
    kept = {key: value for key, value in capabilities.items() if key != "tasks"}
    extensions = kept.get("extensions")
    if isinstance(extensions, dict) and TASKS_EXTENSION in extensions:
        rest = {key: value for key, value in extensions.items() if key != TASKS_EXTENSION}
        kept["extensions"] = rest
        if not rest:
            del kept["extensions"]
    return kept
