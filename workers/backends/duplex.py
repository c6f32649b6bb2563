"""A link over one pair of streams that all requests share: pipes, or the older HTTP+SSE."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from workers.backends import jsonrpc
from workers.backends.base import ConnectionLost, Listener, NotStarted
from workers.backends.link import Hearing
from workers.backends.parting import Parting

log = structlog.get_logger(__name__)

LETS_GO = 2.0  # seconds for a cancelled call to be answered, where the next one may ask questions


class Wire(Protocol):
    """How bytes leave. What arrives is given to the link by `heard`, `refuse` and `lose`."""

    async def send(self, data: bytes) -> None:
        """Send a request.

        Raises:
            BackendError: It did not go out; `NotStarted` when that is certain.
        """
        ...

    def say(self, data: bytes) -> None:
        """Send, soon and without a word about failures, what has no answer."""
        ...


class DuplexLink:
    """Answers are matched by id. Give it its wire with `attach` before the first request."""

    def __init__(self, backend: str, hearing: Hearing) -> None:
        self._backend = backend
        self._hearing = hearing
        self._wire: Wire | None = None
        self._waiting: dict[int, asyncio.Future[jsonrpc.Message]] = {}
        # Calls that were cancelled and may still be running: while there is one, a log line
        # cannot be said to belong to the only call we wait for.
        self._abandoned: dict[int, Parting] = {}
        self._let_go = asyncio.Event()
        self._noisy = False
        self._lost = asyncio.Event()
        self._reason: str | None = None
        self.protocol_version: str | None = None

    def attach(self, wire: Wire) -> None:
        self._wire = wire

    # --- for the session

    @property
    def lost(self) -> str | None:
        return self._reason

    async def wait_lost(self) -> str:
        await self._lost.wait()
        return self._reason or ""

    def speak(self, protocol_version: str) -> None:
        self.protocol_version = protocol_version

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,  # noqa: ARG002 -- streamable HTTP's
        listener: Listener | None = None,
        parting: Parting | None = None,
        cancellable: bool = True,
    ) -> dict[str, Any]:
        wire = self._wire
        if self._reason is not None or wire is None:
            raise NotStarted(self._reason or "the backend is not connected")
        if self._hearing.interactive and listener is not None:
            await self._alone()
        request_id, asked = self._hearing.begin(params, listener)
        answer: asyncio.Future[jsonrpc.Message] = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = answer
        try:
            await wire.send(jsonrpc.encode(jsonrpc.request(request_id, method, asked)))
            return jsonrpc.result_of(await answer)
        except asyncio.CancelledError:
            if cancellable:
                self._abandoned[request_id] = parting = parting or Parting()
                parting.begin()
                if self._lost.is_set():  # in the same moment: it lets go of nothing any more
                    parting.end()
                cancelled = {"requestId": request_id}
                wire.say(jsonrpc.encode(jsonrpc.notification("notifications/cancelled", cancelled)))
            raise
        finally:
            del self._waiting[request_id]
            answer.cancel()
            self._hearing.end(request_id)

    async def _alone(self) -> None:
        """Wait until no cancelled call can ask any more: its question would be put to our caller.

        Servers need not answer what was cancelled; then only a new connection is certain.
        """
        try:
            async with asyncio.timeout(LETS_GO):
                while self._abandoned:
                    self._let_go.clear()
                    await self._let_go.wait()
        except TimeoutError:
            self.lose("a cancelled call may still ask questions")
        if self._reason is not None:
            raise NotStarted(self._reason)

    async def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        if self._wire is not None:
            self._wire.say(jsonrpc.encode(jsonrpc.notification(method, params)))

    # --- for the wire

    def refuse(self, reason: str) -> None:
        """Nothing new can be asked; answers may still come."""
        self._reason = self._reason or reason

    def lose(self, reason: str) -> None:
        """Nothing more will be heard: every waiting request learns it now."""
        self.refuse(reason)
        self._lost.set()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionLost(self._reason or reason))
        for parting in self._abandoned.values():
            parting.end()

    def heard(self, data: bytes) -> None:
        """One line, or one event."""
        if not data.strip():
            return
        try:
            messages = jsonrpc.decode(data)
        except ValueError:
            messages = []
        if not messages and not self._noisy:
            # Usually a forgotten print(): said once, or it would fill the log.
            self._noisy = True
            log.warning("backend.noise", backend=self._backend)
        for message in messages:
            self._message(message)

    def _message(self, message: jsonrpc.Message) -> None:
        method = message.get("method")
        if not isinstance(method, str):
            self._answered(message)
        else:
            owner = None if self._abandoned else self._hearing.sole()
            if self._abandoned and method == "notifications/progress":
                self._sign_of_life(message.get("params"))
            if "id" in message:
                self._hearing.asked(message, owner, self._reply)
            else:
                self._hearing.notified(method, message.get("params"), owner)

    def _sign_of_life(self, params: object) -> None:
        """Progress of a cancelled call: its tool has not let go."""
        token = params.get("progressToken") if isinstance(params, dict) else None
        parting = self._abandoned.get(token) if isinstance(token, int) else None
        if parting is not None:
            parting.sign_of_life()

    def _reply(self, message: jsonrpc.Message) -> None:
        if self._wire is not None:
            self._wire.say(jsonrpc.encode(message))

    def _answered(self, message: jsonrpc.Message) -> None:
        request_id = jsonrpc.request_id_of(message)
        if request_id is None:
            return
        parting = self._abandoned.pop(request_id, None)
        if parting is not None:
            parting.end()
        self._let_go.set()
        waiting = self._waiting.get(request_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)
