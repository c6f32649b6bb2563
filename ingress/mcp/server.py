"""`LonghaulServer`: the SDK's low-level server, with one middleware in front of its handlers.

What is routed is answered by the middleware with plain dicts: the SDK's own result models would
drop what they do not know. The middleware hook is provisional in mcp 2.x; it is used only here.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mcp_types as types
import structlog
from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError
from typing_extensions import override

from common.errors import LonghaulError, StoreUnreachableError
from common.wire import is_json
from ingress.catalogue_feed import CatalogueFeed
from ingress.mcp.bridges import Bridges
from ingress.mcp.call import Calls
from ingress.mcp.declared import TASKS, Context
from ingress.mcp.eras import (
    CACHE_SCOPE,
    INSTRUCTIONS,
    LIST_TTL_MS,
    NAME,
    TITLE,
    VERSION,
    Era,
    era_of,
    is_modern,
)
from ingress.mcp.errors import wire_error
from ingress.mcp.exchange import exchange_of
from ingress.mcp.legacy_tasks import METHODS as LEGACY_TASKS
from ingress.mcp.legacy_tasks import LegacyTasks
from ingress.mcp.listing import Listings
from ingress.mcp.own_calls import OwnCalls
from ingress.mcp.own_tools import TOOLS as OWN_TOOLS
from ingress.mcp.resources import METHODS as RESOURCES
from ingress.mcp.resources import Resources
from ingress.mcp.shapes import Shapes
from ingress.mcp.subscriptions import Subscriptions
from ingress.mcp.tasks import METHODS as MODERN_TASKS
from ingress.mcp.tasks import Tasks

log = structlog.get_logger(__name__)

CATALOGUE_WITHIN = 5.0  # seconds
METHOD_NOT_FOUND = "Method not found"
NO_JSON = "Invalid params: half of a surrogate pair, or no number that a float comes near to"

# What the middleware answers itself, and so must check itself as the SDK does its own.
_ROUTED = frozenset({"tools/list", "tools/call", "logging/setLevel", *RESOURCES})
_TASKS = MODERN_TASKS | LEGACY_TASKS

# Of 2025-11-25. Who is not identified would be shown everybody's: for those there is no list.
_TASK_CAPABILITY: Mapping[str, Any] = {"cancel": {}, "requests": {"tools": {"call": {}}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    """Who answers what is routed."""

    calls: Calls
    own_calls: OwnCalls
    tasks: Tasks
    legacy_tasks: LegacyTasks
    listings: Listings
    subscriptions: Subscriptions
    bridges: Bridges
    resources: Resources


class LonghaulServer(Server[Any]):
    def __init__(self, feed: CatalogueFeed, handlers: Handlers) -> None:
        super().__init__(
            NAME,
            version=VERSION,
            title=TITLE,
            instructions=INSTRUCTIONS,
            cache_hints={"server/discover": CacheHint(ttl_ms=LIST_TTL_MS, scope=CACHE_SCOPE)},
            # Without it the SDK lists all tools before each call.
            get_tool_input_schema=self._input_schema,
            on_subscriptions_listen=handlers.subscriptions.listen,
        )
        self.middleware[:] = [self._as_json]
        self._feed = feed
        self._handlers = handlers
        self._shapes = Shapes()

    @override
    def get_capabilities(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
        *,
        protocol_version: str | None = None,
    ) -> types.ServerCapabilities:
        """What callers may use; there is nothing to derive from handlers, the middleware routes."""
        modern = protocol_version is not None and is_modern(protocol_version)
        return types.ServerCapabilities(
            tools=types.ToolsCapability(list_changed=True),
            logging=types.LoggingCapability(),
            resources=types.ResourcesCapability(list_changed=True),
            extensions={TASKS: {}} if modern else None,
        )

    def _input_schema(self, name: str) -> Mapping[str, Any] | None:
        """For the check of Mcp-Param headers."""
        tool = self._feed.current.tools.get(name)
        return None if tool is None else tool.input_schema

    async def _as_json(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """The SDK's parser takes more: it could be neither stored nor passed on."""
        if not is_json(ctx.params):
            raise MCPError(types.INVALID_PARAMS, NO_JSON)
        return await self.route(ctx, call_next)

    async def route(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """The boundary to the wire: only the protocol's errors pass, nothing else is told."""
        try:
            if ctx.request_id is None:
                return await call_next(ctx)
            if ctx.method in _ROUTED:
                return await self._answer(ctx)
            if ctx.method in _TASKS:
                return await self._task(ctx)
            result = await call_next(ctx)
            return _with_tasks(ctx, result) if ctx.method == "initialize" else result
        except (MCPError, ValidationError):
            raise
        except LonghaulError as error:
            refusal = wire_error(error, "")
            exchange_of(ctx).retry_after = refusal.retry_after
            raise refusal.raised() from error
        except Exception:  # the boundary: older clients would be sent the exception's text
            log.exception("request.failed", method=ctx.method)
            raise MCPError(types.INTERNAL_ERROR, "Internal error") from None

    async def _answer(self, ctx: Context) -> dict[str, Any]:
        try:
            self._shapes.check(ctx.method, ctx.protocol_version, ctx.params)
        except KeyError:
            raise MCPError(types.METHOD_NOT_FOUND, METHOD_NOT_FOUND, ctx.method) from None
        if not self._feed.loaded.is_set():
            await self._wait_for_catalogue()
        _check_handshake(ctx)
        params = ctx.params or {}
        match ctx.method:
            case "tools/call" if params["name"] in OWN_TOOLS:
                return await self._handlers.own_calls(ctx)
            case "tools/call" if exchange_of(ctx).bridge is not None:
                with self._handlers.bridges.holding(exchange_of(ctx), ctx.request_id):
                    return await self._handlers.calls(ctx)
            case "tools/call":
                return await self._handlers.calls(ctx)
            case method if method in RESOURCES:
                return await self._handlers.resources(ctx)
            case "tools/list":
                era = era_of(ctx.protocol_version)
                listing = self._handlers.listings.of(self._feed.current, era)
                return listing.page(params.get("cursor"))
            case _:
                return await _set_level(ctx)

    async def _task(self, ctx: Context) -> dict[str, Any]:
        """No version of the protocol has these as methods that the SDK knows."""
        _check_handshake(ctx)
        match era_of(ctx.protocol_version):
            case Era.MODERN if ctx.method in MODERN_TASKS:
                return await self._handlers.tasks(ctx)
            case Era.CORE_TASKS if ctx.method in LEGACY_TASKS:
                return await self._handlers.legacy_tasks(ctx)
        raise MCPError(types.METHOD_NOT_FOUND, METHOD_NOT_FOUND, ctx.method)

    async def _wait_for_catalogue(self) -> None:
        """A process that has just started knows no tools yet; that is no reason to deny them."""
        try:
            async with asyncio.timeout(CATALOGUE_WITHIN):
                await self._feed.loaded.wait()
        except TimeoutError:
            raise StoreUnreachableError("no catalogue yet", nothing_written=True) from None


def _check_handshake(ctx: Context) -> None:
    if not is_modern(ctx.protocol_version) and ctx.session.client_params is None:
        raise MCPError(types.INVALID_PARAMS, "Invalid request parameters", "")


async def _set_level(ctx: Context) -> dict[str, Any]:
    session = exchange_of(ctx).session
    if session is not None and ctx.params is not None:
        await session.set_level(ctx.params["level"])
    return {}


def _with_tasks(ctx: Context, result: HandlerResult) -> HandlerResult:
    """An answer to `initialize` says what of tasks there is for this version and this caller."""
    if not isinstance(result, dict) or era_of(result["protocolVersion"]) is not Era.CORE_TASKS:
        return result
    capability = dict(_TASK_CAPABILITY)
    if exchange_of(ctx).caller.identified:
        capability["list"] = {}
    result["capabilities"]["tasks"] = capability
    return result
