"""Handshake-era sessions. They live in the store: any replica serves any request of any client.

The SDK's own transport keeps a session in one process. Here each request stands alone: the session
is read, the SDK's kernel serves the one request (`serve_one`), and nothing stays behind.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.shared.jsonrpc_dispatcher import cancelled_request_id_from_params
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from common.clock import Clock
from common.errors import StoreUnreachableError
from common.notifier.base import Notifier
from common.store.sessions import Session, SessionStore
from common.tasks import cancel_and_join
from common.wire import dump_json
from ingress.mcp.dialogue import OURS, Dialogue, OwnStream, cancel_of, reply_to
from ingress.mcp.errors import wire_error
from ingress.mcp.exchange import Exchange, exchange_in
from ingress.mcp.kernel import Kernel
from ingress.mcp.legacy_http import (
    EventStream,
    Message,
    as_json,
    error_message,
    not_acceptable,
    of_session,
    read_body,
    read_message,
    refusal,
)
from ingress.mcp.legacy_session import LegacySession
from ingress.mcp.switchboard import Switchboard, Waiting

SESSIONS = 20_000  # of all clients, on all replicas
DECLARED = 16_384  # bytes that a client may say of itself
LISTENING_WITHIN = 5.0  # seconds

# These are answered with JSON, at less cost; nothing is said before their answer.
PLAIN = frozenset(
    {"initialize", "ping", "tools/list", "logging/setLevel"}
    | {"tasks/get", "tasks/list", "tasks/cancel"}
)
TOOLS_CHANGED: Message = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
RESOURCES_CHANGED: Message = {"jsonrpc": "2.0", "method": "notifications/resources/list_changed"}


class LegacySessions:
    def __init__(self, store: SessionStore, notifier: Notifier, clock: Clock) -> None:
        self._store = store
        self._board = Switchboard(store, notifier, clock)
        self._kernel = Kernel()

    @asynccontextmanager
    async def run(self, server: Server[Any]) -> AsyncIterator[None]:
        """What is still being served when this ends is cut off; that is nobody's wish to cancel."""
        listening = asyncio.create_task(self._board.run())
        try:
            async with self._kernel.run(server):
                yield
        finally:
            await cancel_and_join(listening)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange, request = exchange_in(scope), Request(scope, receive)
        try:
            match scope["method"]:
                case "POST":
                    answer = await self._post(exchange, request, send)
                case "GET":
                    answer = await self._get(exchange, request, send)
                case "DELETE":
                    answer = await self._delete(exchange)
                case _:
                    allow = {"allow": "GET, POST, DELETE"}
                    answer = refusal(405, types.INVALID_REQUEST, "Method Not Allowed", allow)
        except StoreUnreachableError as error:
            answer = _unreachable(error, None)
        if answer is not None:
            await answer(scope, receive, send)

    def tell_tools_changed(self) -> None:
        """To every client that keeps a stream open for such news here."""
        self._board.tell_all(TOOLS_CHANGED)

    def tell_resources_changed(self, caller: str) -> None:
        """The same, to this caller's; empty: to everyone's."""
        self._board.tell_all(RESOURCES_CHANGED, caller)

    def close_streams(self) -> None:
        """End the streams that clients keep open for news; they come back to a living process."""
        self._board.close_streams()

    # --- by method

    async def _post(self, exchange: Exchange, request: Request, send: Send) -> Response | None:
        if (refused := not_acceptable(request, "POST")) is not None:
            return refused
        body = await read_body(request)
        if body is None:
            return None
        message = read_message(body)
        if isinstance(message, Response):
            return message
        if isinstance(message, types.JSONRPCRequest) and message.method == "initialize":
            return await self._initialize(exchange, request, message)
        if exchange.session_id is None:
            return _missing_session()
        if isinstance(message, types.JSONRPCRequest):
            return await self._request(exchange, exchange.session_id, request, message, send)
        if await self._find(exchange) is None:
            return _no_session()
        match message:
            case types.JSONRPCNotification(method="notifications/cancelled", params=params):
                named = cancelled_request_id_from_params(params)
                if named is not None:
                    await self._board.deliver(exchange.session_id, cancel_of(named), b"")
            case types.JSONRPCResponse(id=str(named)) | types.JSONRPCError(id=str(named)):
                if named.startswith(OURS):
                    await self._board.deliver(exchange.session_id, reply_to(named), body)
        return Response(status_code=202, headers=of_session(exchange.session_id))

    async def _request(
        self,
        exchange: Exchange,
        session_id: str,
        request: Request,
        message: types.JSONRPCRequest,
        send: Send,
    ) -> Response | None:
        scope = anyio.CancelScope()

        def cancel(_: bytes = b"") -> None:
            exchange.cancelled = True
            scope.cancel()

        with self._board.waiting(session_id, cancel_of(message.id), Waiting(cancel, cancel)):
            try:
                session = await self._find(exchange)
            except StoreUnreachableError as error:
                return _unreachable(error, message.id)
            if session is None:
                return _no_session()
            exchange.session = LegacySession(session, self._store)
            connection = Connection.from_envelope(
                session.version,
                session.client,
                session.capabilities,
                outbound=OwnStream(self._board, session_id),
            )
            if message.method in PLAIN:
                dialogue = Dialogue(exchange, request, message, self._board, None)
                answer = await self._kernel.serve(message, dialogue, connection, scope)
                return as_json(answer, headers=of_session(session_id))
            stream = EventStream(send, session_id)
            async with stream.open(request.receive):
                dialogue = Dialogue(exchange, request, message, self._board, stream)
                await stream.write(await self._kernel.serve(message, dialogue, connection, scope))
        return None

    async def _initialize(
        self, exchange: Exchange, request: Request, message: types.JSONRPCRequest
    ) -> Response:
        """A session of its own, also for a client that says it has one."""
        session_id = secrets.token_hex(16)
        connection = Connection.for_loop(OwnStream(self._board, session_id), session_id=session_id)
        dialogue = Dialogue(exchange, request, message, self._board, None)
        answer = await self._kernel.serve(message, dialogue, connection, anyio.CancelScope())
        if "result" not in answer or message.params is None:
            return as_json(answer)
        session = Session(
            id=session_id,
            caller=exchange.caller.name,
            version=connection.protocol_version,
            client=message.params["clientInfo"],
            capabilities=message.params["capabilities"],
        )
        if len(dump_json([session.client, session.capabilities])) > DECLARED:
            text = f"clientInfo and capabilities may have {DECLARED} bytes"
            return as_json(error_message(message.id, types.INVALID_PARAMS, text))
        try:
            if not await self._store.create(session, limit=SESSIONS):
                return refusal(503, types.INTERNAL_ERROR, "Too many open sessions")
        except StoreUnreachableError as error:
            return _unreachable(error, message.id)
        return as_json(answer, headers=of_session(session_id))

    async def _get(self, exchange: Exchange, request: Request, send: Send) -> Response | None:
        """The session's own stream: news, and questions that belong to no request."""
        if (refused := not_acceptable(request, "GET")) is not None:
            return refused
        if exchange.session_id is None:
            return _missing_session()
        if await self._find(exchange) is None:
            return _no_session()
        stream = EventStream(send, exchange.session_id)
        with self._board.streaming(exchange.session_id, exchange.caller.name) as news:
            exchange.on_gone = news.close
            async with stream.open(request.receive):
                await self._board.claim_stream(exchange.session_id)
                while (message := await news.next()) is not None:
                    await stream.write(message)
        return None

    async def _delete(self, exchange: Exchange) -> Response:
        if exchange.session_id is None:
            return _missing_session()
        if await self._find(exchange) is None:
            return _no_session()
        await self._store.delete(exchange.session_id)
        await self._board.end(exchange.session_id)
        return Response(status_code=200)

    # --- the parts

    async def _find(self, exchange: Exchange) -> Session | None:
        """Somebody else's is as if there were none.

        Raises:
            StoreUnreachableError: Nobody knows.
        """
        if not self._board.listening.is_set():
            await self._wait_for_hints()
        session = await self._store.get(exchange.session_id or "")
        return session if session and session.caller == exchange.caller.name else None

    async def _wait_for_hints(self) -> None:
        """Before it listens a process would not hear that what it serves was cancelled."""
        try:
            async with asyncio.timeout(LISTENING_WITHIN):
                await self._board.listening.wait()
        except TimeoutError:
            raise StoreUnreachableError("no hints yet", nothing_written=True) from None


def _unreachable(error: StoreUnreachableError, request_id: types.RequestId | None) -> Response:
    told = wire_error(error, "")
    message = error_message(request_id, told.code, told.message, told.data)
    return as_json(message, 503, {"retry-after": f"{told.retry_after:.0f}"})


def _missing_session() -> Response:
    return refusal(400, types.INVALID_REQUEST, "Bad Request: Missing session ID")


def _no_session() -> Response:
    return refusal(404, types.INVALID_REQUEST, "Session not found")
