"""The MCP endpoint: one ASGI application for clients of every era, mounted at `/mcp`."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import ASGIApp, Receive, Scope, Send

from ingress.ingress import Ingress
from ingress.mcp.afterwards import Afterwards
from ingress.mcp.asking import Asking
from ingress.mcp.bridges import BRIDGE_HEADER, CANCEL_METHOD, Bridges
from ingress.mcp.call import Calls
from ingress.mcp.direct import Direct
from ingress.mcp.eras import is_handshake
from ingress.mcp.exchange import KEY, Exchange
from ingress.mcp.held_call import HeldCalls
from ingress.mcp.holding import Holding
from ingress.mcp.incoming import WAIT_HEADER
from ingress.mcp.legacy_tasks import LegacyTasks
from ingress.mcp.listing import Listings
from ingress.mcp.own_calls import OwnCalls
from ingress.mcp.resources import METHODS as RESOURCES
from ingress.mcp.resources import Resources
from ingress.mcp.seal import Seal
from ingress.mcp.server import Handlers, LonghaulServer
from ingress.mcp.sessions import LegacySessions
from ingress.mcp.subscriptions import Subscriptions
from ingress.mcp.task_news import TaskNews
from ingress.mcp.tasks import METHODS as MODERN_TASKS
from ingress.mcp.tasks import Tasks

_VERSION = b"mcp-protocol-version"
_METHOD = b"mcp-method"
_SESSION = b"mcp-session-id"
_HEADERS = frozenset({_VERSION, _METHOD, _SESSION, WAIT_HEADER, BRIDGE_HEADER})

# These never stream, so the SDK's cheaper JSON mode may answer them. It does not notice a lost
# client, so a call never goes there.
_PLAIN = (b"tools/list", b"server/discover", *(method.encode() for method in RESOURCES))


class McpEndpoint:
    """Needs `run()` around its use, and `caller` and `request_id` in the scope's state."""

    def __init__(self, ingress: Ingress) -> None:
        runtime, follower = ingress.runtime, ingress.follower
        limit = runtime.settings.listen.max_body
        self._afterwards = Afterwards(runtime, ingress.cancel, ingress.jottings)
        self._holding = Holding(runtime.clock)
        self._sessions = LegacySessions(runtime.store.sessions, runtime.notifier, runtime.clock)
        self._bridges = Bridges(runtime.notifier)
        self._asking = Asking(ingress)
        seal = Seal(ingress.secret_key)
        held = HeldCalls(ingress, self._holding, self._asking, seal, self._afterwards)
        tasks = Tasks(ingress, self._afterwards)
        news = TaskNews(tasks, follower, runtime.clock)
        self._subscriptions = Subscriptions(
            ingress.feed, ingress.document_news, self._sessions, news
        )
        handlers = Handlers(
            calls=Calls(ingress, held, seal, self._afterwards),
            own_calls=OwnCalls(ingress, self._holding, self._asking, self._afterwards),
            tasks=tasks,
            legacy_tasks=LegacyTasks(ingress, tasks, self._holding, self._asking),
            listings=Listings(ingress.rules),
            subscriptions=self._subscriptions,
            bridges=self._bridges,
            resources=Resources(ingress),
        )
        self._server = LonghaulServer(ingress.feed, handlers)
        self._managers = (
            StreamableHTTPSessionManager(self._server, max_request_body_size=limit),
            StreamableHTTPSessionManager(
                self._server, json_response=True, max_request_body_size=limit
            ),
        )
        self._streaming, plain = (manager.asgi_app for manager in self._managers)
        route, tool = self._server.route, ingress.feed.tool
        self._by_method: Mapping[bytes, ASGIApp] = {
            b"tools/call": Direct(route, tool, self._streaming),
            **{method.encode(): Direct(route, tool, plain) for method in MODERN_TASKS},
            **dict.fromkeys(_PLAIN, plain),
        }
        self._legacy: ASGIApp = self._sessions.handle

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """What was still open when this ends goes on as if it had been handed off."""
        try:
            async with (
                self._managers[0].run(),
                self._managers[1].run(),
                self._sessions.run(self._server),
                asyncio.TaskGroup() as group,
            ):
                background = [
                    group.create_task(part.run()) for part in (self._subscriptions, self._bridges)
                ]
                yield
                self.stop()
                for task in background:
                    task.cancel()
        finally:
            await self._asking.aclose()
            await self._afterwards.drain()

    def end_streams(self) -> None:
        """The process was asked to stop: streams that last end now; clients open them elsewhere.

        So does what is held for clients that have gone.
        """
        self._holding.drain()
        self._subscriptions.close()
        self._sessions.close_streams()

    def stop(self) -> None:
        """The process is about to stop: held calls end soon, too, with their job's id."""
        self._holding.stop()
        self.end_streams()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = _read_headers(scope)
        exchange = Exchange(
            caller=scope["state"]["caller"],
            request_id=scope["state"]["request_id"],
            session_id=_text(headers.get(_SESSION)),
            wait=_text(headers.get(WAIT_HEADER)),
            bridge=_text(headers.get(BRIDGE_HEADER)),
            receive=receive,
            send=send,
        )
        scope[KEY] = exchange
        await self._app_for(headers)(scope, exchange.receive, exchange.send)

    def _app_for(self, headers: Mapping[bytes, bytes]) -> ASGIApp:
        if is_handshake(_text(headers.get(_VERSION))):
            return self._legacy
        if headers.get(_METHOD) == CANCEL_METHOD and BRIDGE_HEADER in headers:
            return self._bridges.hear
        return self._by_method.get(headers.get(_METHOD, b""), self._streaming)


def _read_headers(scope: Scope) -> dict[bytes, bytes]:
    """The headers that decide here. White space around values, which some parsers leave, goes."""
    headers = scope["headers"] = [(name, value.strip()) for name, value in scope["headers"]]
    return {name: value for name, value in headers if name in _HEADERS}


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
