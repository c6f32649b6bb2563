"""One handshake-era request, served by the SDK's kernel, and answered whatever happens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import mcp_types as types
from mcp.server.connection import Connection
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_one
from mcp.server.streamable_http import REQUEST_CANCELLED
from mcp.shared.exceptions import MCPError
from mcp.shared.jsonrpc_dispatcher import handler_exception_to_error_data
from pydantic import ValidationError

from ingress.mcp.dialogue import Dialogue
from ingress.mcp.legacy_http import Message, error_message, result_message

LAST_WORDS = 5.0  # seconds for what is under way when the process stops


class Kernel:
    def __init__(self) -> None:
        self._server: Server[Any] | None = None
        self._serving: set[anyio.CancelScope] = set()
        self._quiet = asyncio.Event()

    @asynccontextmanager
    async def run(self, server: Server[Any]) -> AsyncIterator[None]:
        """Requests are served while this is open, and cut off when it closes."""
        self._server = server
        try:
            yield
        finally:
            self._server = None
            await self._cut_off()

    async def serve(
        self,
        message: types.JSONRPCRequest,
        dialogue: Dialogue,
        connection: Connection,
        scope: anyio.CancelScope,
    ) -> Message:
        """The answer. `scope` is for who cancels the request."""
        if self._server is None:
            return error_message(message.id, types.CONNECTION_CLOSED, "Connection closed")
        self._serving.add(scope)
        try:
            with scope:
                result = await serve_one(
                    self._server,
                    dialogue,
                    message.method,
                    message.params,
                    connection=connection,
                    lifespan_state={},
                )
                return result_message(message.id, result)
        except (MCPError, ValidationError) as error:
            return _failure(message.id, error)
        finally:
            dialogue.close()
            self._serving.discard(scope)
            if not self._serving:
                self._quiet.set()
        return error_message(message.id, REQUEST_CANCELLED, "Request cancelled")

    async def _cut_off(self) -> None:
        self._quiet.clear()
        for scope in self._serving:
            scope.cancel()
        if self._serving:
            with anyio.move_on_after(LAST_WORDS):
                await self._quiet.wait()


def _failure(request_id: types.RequestId, error: MCPError | ValidationError) -> Message:
    told = handler_exception_to_error_data(error)
    if told is None:
        return error_message(request_id, types.INTERNAL_ERROR, "Internal error")
    return error_message(request_id, told.code, told.message, told.data)
