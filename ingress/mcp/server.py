"""`LonghaulServer`: the SDK's low-level server, with one middleware in front of its handlers.

What is routed is answered by the middleware with plain dicts: the SDK's own result models would
drop what they do not know. The middleware hook is provisional in mcp 2.x; it is used only here.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import mcp_types as types
import structlog
from mcp.server.caching import CacheHint
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.shared.exceptions import MCPError
from mcp_types import methods
from pydantic import ValidationError
from typing_extensions import override

from common.errors import StoreUnreachableError
from ingress.catalogue_feed import CatalogueFeed
from ingress.mcp.bridges import Bridges
from ingress.mcp.call import Calls
from ingress.mcp.eras import (
    CACHE_SCOPE,
    INSTRUCTIONS,
    LIST_TTL_MS,
    NAME,
    TITLE,
    VERSION,
    is_modern,
)
from ingress.mcp.errors import wire_error
from ingress.mcp.exchange import exchange_of
from ingress.mcp.listing import Listing
from ingress.mcp.subscriptions import ToolListNews

log = structlog.get_logger(__name__)

Context = ServerRequestContext[Any, Any]

CATALOGUE_WITHIN = 5.0  # seconds

# What the middleware answers itself, and so must check itself as the SDK does its own.
_ROUTED = frozenset({"tools/list", "tools/call", "logging/setLevel"})


class LonghaulServer(Server[Any]):
    def __init__(
        self, feed: CatalogueFeed, calls: Calls, news: ToolListNews, bridges: Bridges
    ) -> None:
        super().__init__(
            NAME,
            version=VERSION,
            title=TITLE,
            instructions=INSTRUCTIONS,
            cache_hints={"server/discover": CacheHint(ttl_ms=LIST_TTL_MS, scope=CACHE_SCOPE)},
            # Without it the SDK lists all tools before each call.
            get_tool_input_schema=self._input_schema,
            on_subscriptions_listen=news.listen,
        )
        self.middleware[:] = [self._route]
        self._feed = feed
        self._calls = calls
        self._bridges = bridges
        self._listings: dict[bool, Listing] = {}  # by "modern"

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
        return types.ServerCapabilities(
            tools=types.ToolsCapability(list_changed=True), logging=types.LoggingCapability()
        )

    def _input_schema(self, name: str) -> Mapping[str, Any] | None:
        """For the check of Mcp-Param headers."""
        tool = self._feed.current.tools.get(name)
        return None if tool is None else tool.input_schema

    async def _route(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """The boundary to the wire: only the protocol's errors pass, nothing else is told."""
        try:
            if ctx.method not in _ROUTED or ctx.request_id is None:
                return await call_next(ctx)
            return await self._answer(ctx)
        except (MCPError, ValidationError):
            raise
        except Exception:  # the boundary: older clients would be sent the exception's text
            log.exception("request.failed", method=ctx.method)
            raise MCPError(types.INTERNAL_ERROR, "Internal error") from None

    async def _answer(self, ctx: Context) -> dict[str, Any]:
        try:
            methods.validate_client_request(ctx.method, ctx.protocol_version, ctx.params)
        except KeyError:
            text = "Method not found"
            raise MCPError(types.METHOD_NOT_FOUND, text, ctx.method) from None
        if not self._feed.loaded.is_set():
            await self._wait_for_catalogue(ctx)
        modern = is_modern(ctx.protocol_version)
        if not modern and ctx.session.client_params is None:
            raise MCPError(types.INVALID_PARAMS, "Invalid request parameters", "")
        match ctx.method:
            case "tools/call":
                with self._bridges.holding(exchange_of(ctx), ctx.request_id):
                    return await self._calls(ctx)
            case "tools/list":
                return self._listing(modern=modern).page((ctx.params or {}).get("cursor"))
            case _:
                return self._set_level(ctx)

    async def _wait_for_catalogue(self, ctx: Context) -> None:
        """A process that has just started knows no tools yet; that is no reason to deny them."""
        try:
            async with asyncio.timeout(CATALOGUE_WITHIN):
                await self._feed.loaded.wait()
        except TimeoutError:
            refusal = wire_error(StoreUnreachableError("no catalogue yet"), "")
            exchange_of(ctx).retry_after = refusal.retry_after
            raise refusal.raised() from None

    def _listing(self, *, modern: bool) -> Listing:
        catalogue = self._feed.current
        listing = self._listings.get(modern)
        if listing is None or listing.catalogue is not catalogue:
            listing = self._listings[modern] = Listing(catalogue, modern=modern)
        return listing

    def _set_level(self, ctx: Context) -> dict[str, Any]:
        session = exchange_of(ctx).session
        if session is not None and ctx.params is not None:
            session.log_level = ctx.params["level"]
        return {}
