"""What is said to a handshake-era client before its answer, and what it is asked."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from hashlib import sha256
from typing import Any

import anyio
import mcp_types as types
from mcp.shared.dispatcher import CallOptions, Outbound, coerce_request_id
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.jsonrpc_dispatcher import progress_token_from_params
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from starlette.requests import Request
from typing_extensions import override

from ingress.mcp.exchange import Exchange
from ingress.mcp.legacy_http import EventStream, Message
from ingress.mcp.switchboard import Switchboard, Waiting

OURS = "lh-"  # begins the ids of our requests: unique among replicas, and never a client's own
LONGEST_NAME = 200  # characters of a note's name
LAST_WORD = 1.0  # seconds for taking a question back

Say = Callable[[Message], Awaitable[None]]


def cancel_of(request_id: types.RequestId) -> str:
    """The note that cancels a request; "7" and 7 are one id, as the SDK has it."""
    return _short(f"cancel:{coerce_request_id(request_id)}")


def reply_to(request_id: types.RequestId) -> str:
    """The note that is the reply to a question."""
    return _short(f"reply:{request_id}")


def _short(name: str) -> str:
    """Clients may choose ids of any length."""
    return name if len(name) <= LONGEST_NAME else sha256(name.encode()).hexdigest()


class Dialogue(Outbound):
    """The SDK's `DispatchContext` of one request; without a stream nothing but the answer goes."""

    def __init__(
        self,
        exchange: Exchange,
        request: Request,
        message: types.JSONRPCRequest,
        board: Switchboard,
        stream: EventStream | None,
    ) -> None:
        self.transport = TransportContext(
            kind="streamable-http", can_send_request=stream is not None
        )
        self.request_id: types.RequestId | None = message.id
        self.message_metadata = ServerMessageMetadata(request_context=request)
        self.cancel_requested = anyio.Event()
        self._exchange = exchange
        self._board = board
        self._stream = stream
        self._progress_token = progress_token_from_params(message.params)

    @property
    def can_send_request(self) -> bool:
        """A client that has lost this connection would not see the question."""
        return self._stream is not None and not self._exchange.gone

    def close(self) -> None:
        """The answer follows, and is the last."""
        self._stream = None

    @override
    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        if self._stream is not None:
            await self._stream.write(_notification(method, params))

    async def progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        if self._progress_token is None:
            return
        told = {"total": total, "message": message}
        more = {name: value for name, value in told.items() if value is not None}
        params = {"progressToken": self._progress_token, "progress": progress, **more}
        await self.notify("notifications/progress", params)

    @override
    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        session = self._exchange.session_id
        if self._stream is None or session is None or not self.can_send_request:
            raise NoBackChannelError(method)
        return await _ask(self._board, session, self._stream.write, method, params, opts or {})


class OwnStream(Outbound):
    """The SDK's `Outbound` of a session, for what belongs to no request."""

    def __init__(self, board: Switchboard, session: str) -> None:
        self._board = board
        self._session = session

    @override
    async def notify(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> None:
        await self._board.tell(self._session, _notification(method, params))

    @override
    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        say = partial(self._board.tell, self._session)
        return await _ask(self._board, self._session, say, method, params, opts or {})


async def _ask(
    board: Switchboard,
    session: str,
    say: Say,
    method: str,
    params: Mapping[str, Any] | None,
    opts: CallOptions,
) -> dict[str, Any]:
    """The client's result, whichever replica its reply reaches.

    Raises:
        MCPError: The client answered with an error or not in time, or its session has ended.
    """
    request_id = f"{OURS}{secrets.token_hex(8)}"
    reply: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()

    def resolve(body: bytes | None) -> None:
        if not reply.done():
            reply.set_result(body)

    take_back = partial(say, _notification("notifications/cancelled", {"requestId": request_id}))
    with board.waiting(session, reply_to(request_id), Waiting(resolve, partial(resolve, None))):
        try:
            async with asyncio.timeout(opts.get("timeout")):
                await say(_request(request_id, method, params))
                body = await reply
        except TimeoutError:
            await take_back()
            raise MCPError(types.REQUEST_TIMEOUT, f"Request {method!r} timed out") from None
        except asyncio.CancelledError:
            if opts.get("cancel_on_abandon", True):
                with anyio.move_on_after(LAST_WORD, shield=True):
                    await take_back()
            raise
    return _result_in(body)


def _result_in(body: bytes | None) -> dict[str, Any]:
    if body is None:
        raise MCPError(types.CONNECTION_CLOSED, "The session has ended")
    match types.jsonrpc_message_adapter.validate_json(body):
        case types.JSONRPCResponse(result=result):
            return result
        case types.JSONRPCError(error=error):
            raise MCPError(error.code, error.message, error.data)
        case _:
            raise MCPError(types.INTERNAL_ERROR, "The reply is none")


def _request(request_id: types.RequestId, method: str, params: Mapping[str, Any] | None) -> Message:
    return {"id": request_id, **_notification(method, params)}


def _notification(method: str, params: Mapping[str, Any] | None) -> Message:
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        message["params"] = params
    return message
