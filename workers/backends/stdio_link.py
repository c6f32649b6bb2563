"""The link to a replica that is a child process: one JSON-RPC message per line."""

import asyncio
from collections.abc import Mapping
from typing import Any

import structlog

from workers.backends import jsonrpc
from workers.backends.base import ConnectionLost, Listener, NotStarted
from workers.backends.link import Hearing
from workers.backends.process import Child

log = structlog.get_logger(__name__)


class StdioLink:
    """Requests of all calls share the two pipes; answers are matched by id.

    Feed it stdout; give it its process with `attach` before the first request.
    """

    def __init__(self, backend: str, hearing: Hearing) -> None:
        self._backend = backend
        self._hearing = hearing
        self._child: Child | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._waiting: dict[int, asyncio.Future[jsonrpc.Message]] = {}
        # Calls that were cancelled and may still be running: while there is one, a log line
        # cannot be said to belong to the only call we wait for.
        self._abandoned: set[int] = set()
        self._noisy = False
        self._lost = asyncio.Event()
        self._reason: str | None = None

    def attach(self, child: Child) -> None:
        self._child = child

    @property
    def lost(self) -> str | None:
        return self._reason

    async def wait_lost(self) -> str:
        await self._lost.wait()
        return self._reason or ""

    def deaf(self) -> None:
        self._reason = self._reason or "the backend's process ended"

    def gone(self) -> None:
        """Every waiting request learns it now."""
        self.deaf()
        self._lost.set()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionLost(self._reason or ""))

    def speak(self, protocol_version: str) -> None:
        """Pipes carry no headers: nothing to remember."""

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,  # noqa: ARG002 -- HTTP's
        listener: Listener | None = None,
        cancellable: bool = True,
    ) -> dict[str, Any]:
        child = self._process()
        await child.ready_to_write()
        if self._reason is not None:
            raise NotStarted(self._reason)
        request_id, asked = self._hearing.begin(params, listener)
        answer: asyncio.Future[jsonrpc.Message] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answer
        try:
            child.write(jsonrpc.encode(jsonrpc.request(request_id, method, asked)) + b"\n")
            return jsonrpc.result_of(await answer)
        except asyncio.CancelledError:
            if cancellable:
                self._abandoned.add(request_id)
                self._say("notifications/cancelled", {"requestId": request_id})
            raise
        finally:
            del self._waiting[request_id]
            self._hearing.end(request_id)

    async def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        await self._process().ready_to_write()
        self._say(method, params)

    def feed(self, data: bytes) -> None:
        """Take what came on stdout, in whatever pieces."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._chunks.append(line)
            whole = b"".join(self._chunks)
            self._chunks.clear()
            self._size = 0
            self._line(whole)
        if rest:
            self._chunks.append(rest)
            self._size += len(rest)
            if self._size > jsonrpc.MAX_MESSAGE:
                self._chunks.clear()
                self._size = 0
                self._reason = f"it sent a message of more than {jsonrpc.MAX_MESSAGE} bytes"
                self.gone()

    def _line(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            messages = jsonrpc.decode(line)
        except ValueError:
            messages = []
        if not messages and not self._noisy:
            # Usually a forgotten print(): said once, or it would fill the log.
            self._noisy = True
            log.warning("backend.stdout_noise", backend=self._backend)
        for message in messages:
            self._message(message)

    def _message(self, message: jsonrpc.Message) -> None:
        method = message.get("method")
        if not isinstance(method, str):
            self._answered(message)
        elif "id" in message:
            self._write(jsonrpc.reply_to(message))
        else:
            owner = None if self._abandoned else self._hearing.sole()
            self._hearing.notified(method, message.get("params"), owner)

    def _answered(self, message: jsonrpc.Message) -> None:
        request_id = jsonrpc.request_id_of(message)
        if request_id is None:
            return
        self._abandoned.discard(request_id)
        waiting = self._waiting.get(request_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)

    def _say(self, method: str, params: Mapping[str, Any] | None) -> None:
        self._write(jsonrpc.notification(method, params))

    def _write(self, message: jsonrpc.Message) -> None:
        try:
            self._process().write(jsonrpc.encode(message) + b"\n")
        except NotStarted:
            log.debug("backend.unheard", backend=self._backend, method=message.get("method"))

    def _process(self) -> Child:
        if self._child is None:
            raise NotStarted("the backend's process is not running")
        return self._child
