"""What both transports have in common: requests in flight, and what is heard while they are."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any, Protocol, TypeGuard

import structlog
from mcp_types import INTERNAL_ERROR

from common.jobs.checkpoint import CHECKPOINT_META
from common.jobs.questions import KINDS
from workers.backends import jsonrpc
from workers.backends.base import Listener, ProtocolFailure
from workers.backends.parting import Parting

log = structlog.get_logger(__name__)

OUTPUT = "longhaul/output"  # in `_meta` of progress or a log line: a piece of the tool's output
DATA_SHOWN = 2_000  # characters of a backend's log line in the operator's log

OnChange = Callable[[], None]
Reply = Callable[[jsonrpc.Message], None]  # never blocks


class Link(Protocol):
    """A way to one replica, shared by all its requests."""

    @property
    def lost(self) -> str | None:
        """Why nothing new can be asked here any more; None while it can."""
        ...

    async def wait_lost(self) -> str: ...

    def speak(self, protocol_version: str) -> None:
        """From now on this is the negotiated version (HTTP says it in every header)."""
        ...

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        headers: Mapping[str, str] | None = None,
        listener: Listener | None = None,
        parting: Parting | None = None,
        cancellable: bool = True,
    ) -> dict[str, Any]:
        """Ask and wait, without a clock. Headers matter to HTTP alone.

        Cancelling it tells the backend, unless the protocol forbids that for the method; `parting`
        hears what the backend says to that.

        Raises:
            NotStarted: Provably not run.
            ConnectionLost: Written, and no answer will come.
            ProtocolFailure: An error came back.
        """
        ...

    async def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Say something that has no answer; errors are not worth having."""
        ...


class Hearing:
    """The requests in flight on one connection, and who hears what about them.

    The request's id is its progress token, so progress finds its call on whatever stream it comes.
    """

    def __init__(self, backend: str, on_tools_changed: OnChange) -> None:
        self._backend = backend
        self._on_tools_changed = on_tools_changed
        self._ids = count(1)
        self._listeners: dict[int, Listener] = {}
        self._lasting: dict[int, Listener] = {}  # by progress token, longer than one request
        self._questions: dict[int, set[asyncio.Task[None]]] = {}  # by the request in flight
        self.interactive = False  # it may ask questions in mid-call (before 2026-07-28)

    def begin(
        self, params: Mapping[str, Any], listener: Listener | None
    ) -> tuple[int, Mapping[str, Any]]:
        """A new request's id, and its params with the progress token where someone listens."""
        request_id = next(self._ids)
        if listener is None:
            return request_id, params
        self._listeners[request_id] = listener
        meta = {**(params.get("_meta") or {}), "progressToken": request_id}
        return request_id, {**params, "_meta": meta}

    def end(self, request_id: int) -> None:
        self._listeners.pop(request_id, None)
        for question in self._questions.pop(request_id, ()):
            question.cancel()

    @contextmanager
    def lasting(self, listener: Listener) -> Iterator[int]:
        """A progress token for as long as a call is a task, whichever requests that takes."""
        token = next(self._ids)
        self._lasting[token] = listener
        try:
            yield token
        finally:
            del self._lasting[token]

    def sole(self) -> int | None:
        """The request in flight, when nothing else can be meant."""
        if len(self._listeners) != 1:
            return None
        request_id, listener = next(iter(self._listeners.items()))
        return request_id if all(each is listener for each in self._lasting.values()) else None

    def asked(self, message: jsonrpc.Message, owner: int | None, reply: Reply) -> None:
        """A request came; what cannot be said to belong to one call is refused, not guessed."""
        listener = self._listeners.get(owner) if owner is not None else None
        params = message.get("params") or {}
        asks = self.interactive and message["method"] in KINDS and isinstance(params, dict)
        if owner is None or listener is None or not asks:
            reply(jsonrpc.reply_to(message))
            return
        question = asyncio.create_task(self._ask(message, params, listener, reply))
        self._questions.setdefault(owner, set()).add(question)

    async def _ask(
        self,
        message: jsonrpc.Message,
        params: Mapping[str, Any],
        listener: Listener,
        reply: Reply,
    ) -> None:
        try:
            answer = await listener.ask(message["method"], params)
        except ProtocolFailure as error:
            reply(jsonrpc.error_to(message, error))
        except Exception:
            # Boundary: the backend must not wait for ever because of us.
            log.exception("backend.question_failed", backend=self._backend)
            reply(jsonrpc.error_to(message, ProtocolFailure(INTERNAL_ERROR, "Longhaul failed")))
        else:
            reply({"jsonrpc": "2.0", "id": message["id"], "result": answer})

    def notified(self, method: str, params: object, owner: int | None) -> None:
        """A notification came; `owner` is the request it certainly belongs to, if any."""
        try:
            self._notified(method, params, owner)
        except Exception:
            # Boundary: one odd notification must not end the connection that brought it.
            log.exception("backend.notification_failed", backend=self._backend, method=method)

    def _notified(self, method: str, params: object, owner: int | None) -> None:
        if method == "notifications/tools/list_changed":
            self._on_tools_changed()
        elif not isinstance(params, dict):
            return
        elif method == "notifications/progress":
            self._progress(params)
        elif method == "notifications/message":
            self._log(params, owner)

    def _progress(self, params: Mapping[str, Any]) -> None:
        token, value, total = (
            params.get("progressToken"),
            params.get("progress"),
            params.get("total"),
        )
        if isinstance(token, str) and token.isascii() and token.isdecimal():
            token = int(token)
        if not _is_number(token) or not _is_number(value):
            return
        listener = self._listeners.get(int(token)) or self._lasting.get(int(token))
        message = params.get("message")
        if listener is not None:
            _pass_output(params, listener)
            _pass_checkpoint(params, listener)
            listener.progress(
                float(value),
                float(total) if _is_number(total) else None,
                message if isinstance(message, str) else None,
            )

    def _log(self, params: Mapping[str, Any], owner: int | None) -> None:
        listener = self._listeners.get(owner) if owner is not None else None
        if listener is not None:
            _pass_output(params, listener)
            listener.log(params)
            return
        log.info(
            "backend.log",
            backend=self._backend,
            severity=params.get("level"),
            logger_name=params.get("logger"),
            data=str(params.get("data"))[:DATA_SHOWN],
        )


def _pass_output(params: Mapping[str, Any], listener: Listener) -> None:
    meta = params.get("_meta")
    text = meta.get(OUTPUT) if isinstance(meta, dict) else None
    if isinstance(text, str) and text:
        listener.output(text)


def _pass_checkpoint(params: Mapping[str, Any], listener: Listener) -> None:
    meta = params.get("_meta")
    if isinstance(meta, dict) and CHECKPOINT_META in meta:
        listener.checkpoint(meta[CHECKPOINT_META])


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
