"""What a client declared: with its request (2026-07-28), or when its session began."""

from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

from ingress.mcp.exchange import Exchange

TASKS = "io.modelcontextprotocol/tasks"  # the extension of 2026-07-28

Context = ServerRequestContext[Any, Any]

_QUESTIONS = ("elicitation", "sampling", "roots")  # kinds of them


def meta_of(ctx: Context) -> Mapping[str, Any]:
    meta = (ctx.params or {}).get("_meta")
    return meta if isinstance(meta, dict) else {}


def log_level_of(ctx: Context, exchange: Exchange) -> str | None:
    if exchange.session is not None:
        return exchange.session.log_level
    level: str | None = meta_of(ctx).get(types.LOG_LEVEL_META_KEY)
    return level


def capabilities_of(ctx: Context, exchange: Exchange) -> Mapping[str, Any]:
    if exchange.session is None:
        declared = meta_of(ctx).get(types.CLIENT_CAPABILITIES_META_KEY)
        return declared if isinstance(declared, dict) else {}
    return exchange.session.capabilities


def client_name_of(ctx: Context) -> str | None:
    client = ctx.session.client_params
    if client is not None:
        return client.client_info.name
    said = meta_of(ctx).get(types.CLIENT_INFO_META_KEY)
    name = said.get("name") if isinstance(said, dict) else None
    return name if isinstance(name, str) else None


def declares_tasks(capabilities: Mapping[str, Any]) -> bool:
    extensions = capabilities.get("extensions")
    return isinstance(extensions, dict) and TASKS in extensions


def asks_nothing(capabilities: Mapping[str, Any]) -> bool:
    """Whether no question of a tool can reach this client."""
    return capabilities.keys().isdisjoint(_QUESTIONS)


def tasks_missing() -> MCPError:
    """The request needs the extension, and its client has not declared it."""
    return MCPError(
        types.MISSING_REQUIRED_CLIENT_CAPABILITY,
        f"Missing required client capability: the extension {TASKS}",
        {"requiredCapabilities": {"extensions": {TASKS: {}}}},
    )
