"""Who is told that the list of tools has changed: listen streams, and handshake-era sessions."""

import asyncio
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged

from ingress.catalogue_feed import CatalogueFeed
from ingress.mcp.sessions import LegacySessions


class ToolListNews:
    def __init__(self, feed: CatalogueFeed, sessions: LegacySessions) -> None:
        self._feed = feed
        self._sessions = sessions
        self._bus = InMemorySubscriptionBus()
        self._listens = ListenHandler(self._bus)
        self._changed = asyncio.Event()

    async def listen(
        self,
        ctx: ServerRequestContext[Any, Any],
        params: types.SubscriptionsListenRequestParams,
    ) -> types.SubscriptionsListenResult:
        """`subscriptions/listen`: acknowledges what we can honour, which is the list of tools."""
        wanted = True if params.notifications.tools_list_changed else None
        honoured = types.SubscriptionFilter(tools_list_changed=wanted)
        return await self._listens(ctx, params.model_copy(update={"notifications": honoured}))

    async def run(self) -> None:
        with self._feed.on_change(self._changed.set):
            while True:
                await self._changed.wait()
                self._changed.clear()
                await self._bus.publish(ToolsListChanged())
                await self._sessions.tell_list_changed()

    def close(self) -> None:
        """End every listen stream as the protocol ends them; clients listen again elsewhere."""
        self._listens.close()
