"""What differs between the protocol's eras in what we send. Pure; everything else goes verbatim."""

from collections.abc import Mapping
from enum import StrEnum
from importlib.metadata import version as installed_version
from typing import Any, Literal

import mcp_types as types
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from common.catalogue import CatalogueTool
from common.jobs.links import KEPT, LINK

NAME = "longhaul"
TITLE = "Longhaul"
VERSION = installed_version("mcp-longhaul")
INSTRUCTIONS = (
    "Longhaul runs the tools of many servers as durable jobs. Call a tool as usual. When an answer "
    "says that a call is still running as a job, do not call the tool again: the job goes on by "
    "itself, and longhaul_wait returns its result; longhaul_jobs lists your jobs."
)
LIST_TTL_MS = 5_000  # changes are told to who listens; others look again after this
LINKS_SINCE = "2025-06-18"  # content of the type `resource_link`
CACHE_SCOPE: Literal["private"] = "private"  # what a backend allows to be shared is not known here

_SERVER_INFO = {"name": NAME, "title": TITLE, "version": VERSION}
_MODERN_ONLY = ("resultType", "ttlMs", "cacheScope")


class Era(StrEnum):
    """What a client's version of the protocol knows of tasks decides most of what differs."""

    MODERN = "2026-07-28 and later"  # an extension, if it declares that
    CORE_TASKS = "2025-11-25"  # as an experiment of the version itself (SEP-1686)
    OLDER = "before 2025-11-25"  # nothing


def era_of(protocol_version: str) -> Era:
    if protocol_version in MODERN_PROTOCOL_VERSIONS:
        return Era.MODERN
    return Era.CORE_TASKS if protocol_version == "2025-11-25" else Era.OLDER


def is_modern(protocol_version: str) -> bool:
    return era_of(protocol_version) is Era.MODERN


def is_handshake(header: str | None) -> bool:
    """Which era serves a request, by its MCP-Protocol-Version header; unknown ones are modern."""
    return header is None or header in HANDSHAKE_PROTOCOL_VERSIONS


def stamped(result: Mapping[str, Any]) -> dict[str, Any]:
    """A result as 2026-07-28 wants it: its type, and who served it."""
    meta = result.get("_meta")
    kept = meta if isinstance(meta, dict) else {}
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


def shaped_result(result: Mapping[str, Any], version: str) -> dict[str, Any]:
    if is_modern(version):
        return stamped(result)
    shaped = for_legacy(result)
    if version < LINKS_SINCE and KEPT in (shaped.get("_meta") or ()):
        # Ours: its text says the same.
        shaped["content"] = [each for each in shaped["content"] if each["type"] != LINK]
    return shaped


def cacheable(result: Mapping[str, Any]) -> dict[str, Any]:
    return {**stamped(result), "ttlMs": LIST_TTL_MS, "cacheScope": CACHE_SCOPE}


def shaped_tool(tool: CatalogueTool, task_support: str | None) -> dict[str, Any]:
    """The backend's definition verbatim, under the exposed name.

    `execution` is not the backend's: a call becomes a task here, and by the operator's word.
    """
    shaped = {key: value for key, value in tool.definition.items() if key != "execution"}
    shaped["name"] = tool.name
    if task_support is not None:
        shaped["execution"] = {"taskSupport": task_support}
    return shaped
