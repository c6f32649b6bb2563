"""What differs between the protocol's eras in what we send. Pure; everything else goes verbatim."""

from collections.abc import Mapping
from importlib.metadata import version as installed_version
from typing import Any, Literal

import mcp_types as types
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from common.catalogue import CatalogueTool

NAME = "longhaul"
TITLE = "Longhaul"
VERSION = installed_version("mcp-longhaul")
INSTRUCTIONS = (
    "Longhaul runs the tools of many servers as durable jobs. Call a tool as usual. When an answer "
    "says that a call is still running as a job, do not call the tool again: the job goes on by "
    "itself, and its result is kept under the id in the answer."
)
LIST_TTL_MS = 5_000  # changes are told to who listens; others look again after this
CACHE_SCOPE: Literal["private"] = "private"  # what a backend allows to be shared is not known here

_SERVER_INFO = {"name": NAME, "title": TITLE, "version": VERSION}
_MODERN_ONLY = ("resultType", "ttlMs", "cacheScope")


def is_modern(protocol_version: str) -> bool:
    return protocol_version in MODERN_PROTOCOL_VERSIONS


def is_handshake(header: str | None) -> bool:
    """Which era serves a request, by its MCP-Protocol-Version header; unknown ones are modern."""
    return header is None or header in HANDSHAKE_PROTOCOL_VERSIONS


def stamped(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result as 2026-07-28 wants it: its type, and who served it."""
    meta = result.get("_meta")
    kept = meta if isinstance(meta, Mapping) else {}
    return {
        "resultType": "complete",
        **result,
        "_meta": {**kept, types.SERVER_INFO_META_KEY: _SERVER_INFO},
    }


def for_legacy(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result without what only 2026-07-28 knows."""
    shaped = {key: value for key, value in result.items() if key not in _MODERN_ONLY}
    meta = result.get("_meta")
    if isinstance(meta, Mapping) and types.SERVER_INFO_META_KEY in meta:
        rest = {key: value for key, value in meta.items() if key != types.SERVER_INFO_META_KEY}
        shaped["_meta"] = rest
        if not rest:
            del shaped["_meta"]
    return shaped


def shaped_result(result: Mapping[str, Any], *, modern: bool) -> dict[str, Any]:
    return stamped(result) if modern else for_legacy(result)


def cacheable(result: Mapping[str, Any]) -> dict[str, Any]:
    return {**stamped(result), "ttlMs": LIST_TTL_MS, "cacheScope": CACHE_SCOPE}


def shaped_tool(tool: CatalogueTool) -> dict[str, Any]:
    """The backend's definition verbatim, under the exposed name.

    `execution` is left out: a backend's task support is not ours.
    """
    shaped = {key: value for key, value in tool.definition.items() if key != "execution"}
    shaped["name"] = tool.name
    return shaped
