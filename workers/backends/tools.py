"""A backend's tool list: which definitions can be shown, each judged alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp.shared.inbound import find_invalid_x_mcp_header, x_mcp_header_map
from mcp_types import Tool
from pydantic import ValidationError

from workers.backends.envelope import ParamHeaders

NAME_SHOWN = 80  # characters of a malformed tool's name that are worth reporting


@dataclass(frozen=True, slots=True, kw_only=True)
class SortedTools:
    kept: tuple[dict[str, Any], ...]  # verbatim
    dropped: tuple[tuple[str, str], ...]  # (name, reason)
    bad_headers: tuple[tuple[str, str], ...]  # (name, reason); kept, but not for modern clients
    param_headers: Mapping[str, ParamHeaders]  # by tool, where it has any


def sort_tools(definitions: Iterable[object]) -> SortedTools:
    """Keep what clients can read; one malformed tool costs only itself."""
    kept: dict[str, dict[str, Any]] = {}
    dropped: list[tuple[str, str]] = []
    bad_headers: list[tuple[str, str]] = []
    param_headers: dict[str, ParamHeaders] = {}
    for definition in definitions:
        reason = flaw(definition)
        if reason is not None or not isinstance(definition, dict):
            dropped.append((_name_of(definition), reason or "not an object"))
            continue
        name = definition["name"]
        if name in kept:
            dropped.append((name, "a second tool of this name"))
            continue
        kept[name] = definition
        bad_header = find_invalid_x_mcp_header(definition["inputSchema"])
        if bad_header is not None:
            bad_headers.append((name, bad_header))
        elif headers := x_mcp_header_map(definition["inputSchema"]):
            param_headers[name] = headers
    return SortedTools(
        kept=tuple(kept.values()),
        dropped=tuple(dropped),
        bad_headers=tuple(bad_headers),
        param_headers=param_headers,
    )


def flaw(definition: object) -> str | None:
    """Why no client could read this definition; None when it can be shown."""
    if not isinstance(definition, dict):
        return "not an object"
    if not isinstance(definition.get("name"), str) or not definition["name"]:
        return "name: must be a string that is not empty"
    try:
        Tool.model_validate(definition, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}"
    if definition["inputSchema"].get("type") != "object":
        return 'inputSchema: "type" must be "object"'
    return None


def _name_of(definition: object) -> str:
    name = definition.get("name") if isinstance(definition, dict) else None
    return name[:NAME_SHOWN] if isinstance(name, str) and name else "(no name)"
