"""Handshake-era sessions, kept in this process. The seam behind which they can be shared."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
import structlog
from anyio.abc import TaskGroup, TaskStatus
from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.server.runner import ServerRunner, aclose_shielded
from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.shared.dispatcher import DispatchContext
from mcp.shared.jsonrpc_dispatcher import JSONRPCDispatcher
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingress.mcp.exchange import Exchange, exchange_in

log = structlog.get_logger(__name__)

IDLE = 1_800.0  # seconds without any request in flight after which a session ends
SESSIONS = 10_000
TELL_WITHIN = 5.0  # seconds; a client that does not read misses the news


class LegacySession:
    """One client between its `initialize` and its DELETE."""

    def __init__(self, caller: str) -> None:
        self.id = secrets.token_hex(16)
        self.caller = caller
        self.log_level: str | None = None  # None: it asked for no log lines
        self.deleted = False  # by its client: everything it waits for is cancelled
        self.transport = StreamableHTTPServerTransport(mcp_session_id=self.id, idle_timeout=IDLE)
        self.connection: Connection | None = None
        self._capabilities: Mapping[str, Any] | None = None

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """What the client declared when the session began."""
        if self._capabilities is None:
            declared = self.connection.client_capabilities if self.connection else None
            if declared is None:
                return {}
            self._capabilities = declared.model_dump(by_alias=True, mode="json", exclude_none=True)
        return self._capabilities

    async def serve(self, server: Server[Any], *, task_status: TaskStatus[None]) -> None:
        """Until the client deletes it, it was idle too long, or the process stops."""
        async with self.transport.connect() as (read_stream, write_stream):
            dispatcher: JSONRPCDispatcher[TransportContext] = JSONRPCDispatcher(
                read_stream, write_stream, inline_methods=frozenset({"initialize"})
            )
            self.connection = Connection.for_loop(dispatcher, session_id=self.id)
            runner = ServerRunner(server, self.connection, {})

            async def on_request(
                dctx: DispatchContext[TransportContext],
                method: str,
                params: Mapping[str, Any] | None,
            ) -> dict[str, Any]:
                metadata = dctx.message_metadata
                if isinstance(metadata, ServerMessageMetadata):
                    exchange = exchange_in(metadata.request_context.scope)
                    exchange.cancel_requested = dctx.cancel_requested
                return await runner.on_request(dctx, method, params)

            task_status.started()
            try:
                with self.transport.idle_scope or anyio.CancelScope():
                    await dispatcher.run(on_request, runner.on_notify)
            finally:
                await aclose_shielded(self.connection)

    async def tell_list_changed(self) -> None:
        if self.connection is not None and self.connection.initialized.is_set():
            with anyio.move_on_after(TELL_WITHIN):
                await self.connection.send_tool_list_changed()


class LegacySessions:
    def __init__(self) -> None:
        self._sessions: dict[str, LegacySession] = {}
        self._group: TaskGroup | None = None
        self._server: Server[Any] | None = None

    @asynccontextmanager
    async def run(self, server: Server[Any]) -> AsyncIterator[None]:
        """Sessions live as long as this context."""
        async with anyio.create_task_group() as group:
            self._group, self._server = group, server
            try:
                yield
            finally:
                self._group = None
                group.cancel_scope.cancel()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_in(scope)
        if exchange.session_id is None:
            await self._open(exchange, scope, receive, send)
            return
        session = self._sessions.get(exchange.session_id)
        if session is None or session.caller != exchange.caller.name:
            # Somebody else's is as if there were none.
            refusal = _refusal(404, types.INVALID_REQUEST, "Session not found")
            await refusal(scope, receive, send)
            return
        exchange.session = session
        session.deleted = session.deleted or scope["method"] == "DELETE"
        await session.transport.handle_request(scope, receive, send)
        if session.transport.is_terminated:
            await self._forget(session)

    async def tell_list_changed(self) -> None:
        """To every client that keeps a stream open for such news."""
        sessions = tuple(self._sessions.values())
        await asyncio.gather(*(session.tell_list_changed() for session in sessions))

    def close_streams(self) -> None:
        """End the streams that clients keep open for news; they come back to a living process."""
        for session in self._sessions.values():
            session.transport.close_standalone_sse_stream()

    async def _open(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        """Only an `initialize` can succeed here; after anything else no session is left."""
        if self._group is None:
            raise RuntimeError("the sessions are not running")
        if len(self._sessions) >= SESSIONS:
            refusal = _refusal(503, types.INTERNAL_ERROR, "Too many open sessions")
            await refusal(scope, receive, send)
            return
        session = LegacySession(exchange.caller.name)
        exchange.session = session
        self._sessions[session.id] = session
        try:
            await self._group.start(self._serve, session)
            await session.transport.handle_request(scope, receive, send)
        finally:
            if exchange.status is None or exchange.status >= 400:
                await self._forget(session)

    async def _serve(self, session: LegacySession, *, task_status: TaskStatus[None]) -> None:
        if self._server is None:
            raise RuntimeError("the sessions are not running")
        try:
            await session.serve(self._server, task_status=task_status)
        except Exception:  # the boundary: one session's fault is not another's
            log.exception("session.crashed")
        finally:
            await self._forget(session)

    async def _forget(self, session: LegacySession) -> None:
        self._sessions.pop(session.id, None)
        if not session.transport.is_terminated:
            with anyio.CancelScope(shield=True):
                await session.transport.terminate()


def _refusal(status: int, code: int, text: str) -> Response:
    """As the SDK refuses before it knows the request's id."""
    error = types.JSONRPCError(
        jsonrpc="2.0", id=None, error=types.ErrorData(code=code, message=text)
    )
    body = error.model_dump_json(by_alias=True, exclude_unset=True)
    return Response(body, status_code=status, media_type="application/json")
