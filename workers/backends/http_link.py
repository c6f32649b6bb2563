"""The link to a replica behind a URL (streamable HTTP, both eras): one POST per request."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from workers.backends import jsonrpc
from workers.backends.answers import (
    RESUME_DELAY,
    Cursor,
    events,
    messages,
    only_response,
    refusal,
    whole,
)
from workers.backends.base import (
    BackendError,
    ConnectionLost,
    Listener,
    NotStarted,
)
from workers.backends.exchange import ASIDE_LIMIT, Answer, Exchange
from workers.backends.link import Hearing
from workers.backends.parting import Parting
from workers.backends.redirects import Sending
from workers.backends.side import Side

SESSION_HEADER = "mcp-session-id"
HEAR_AGAIN_LIMIT = 30.0  # seconds before a session's stream is opened again, at most
GOODBYE_LIMIT = 2.0  # seconds
REPLIES = 3  # attempts to answer a question of the backend
RESUMES = 3  # attempts in a row to go on with a legacy answer whose stream was closed

_ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


class HttpLink:
    """Every request is a POST of its own; what belongs to it comes back on its own stream."""

    def __init__(self, url: str, exchange: Exchange, hearing: Hearing, side: Side) -> None:
        self._url = url
        self._exchange = exchange
        self._hearing = hearing
        self._side = side
        self._session: str | None = None  # legacy only, and not with every server
        self._version: str | None = None
        self._lost = asyncio.Event()
        self._reason: str | None = None

    @property
    def lost(self) -> str | None:
        return self._reason

    async def wait_lost(self) -> str:
        await self._lost.wait()
        return self._reason or ""

    def lose(self, reason: str) -> None:
        """Nothing new is asked here; what is in flight goes on."""
        self._reason = self._reason or reason
        self._lost.set()

    def speak(self, protocol_version: str) -> None:
        self._version = protocol_version
        if protocol_version in MODERN_PROTOCOL_VERSIONS:
            self._session = None  # both eras were tried, and the newer one won
        elif self._session is not None:
            self._side.start(self._hear_session())

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
        if self._reason is not None:
            raise NotStarted(self._reason)
        request_id, asked = self._hearing.begin(params, listener)
        body = jsonrpc.encode(jsonrpc.request(request_id, method, asked))
        try:
            return await self._ask(request_id, method, body, headers or {})
        except asyncio.CancelledError:
            # In 2026-07-28 the closed stream is the cancellation, before it a message is.
            if cancellable and self._version not in MODERN_PROTOCOL_VERSIONS:
                if parting is not None:
                    parting.begin()
                self._side.start(self._cancel(request_id, parting))
            raise
        except NotStarted as error:
            self.lose(error.message)
            raise
        finally:
            self._hearing.end(request_id)

    async def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        await self._aside(jsonrpc.notification(method, params))

    async def _cancel(self, request_id: int, parting: Parting | None) -> None:
        """Our end of the answer's stream is closed: whether it lets go is not heard any more."""
        try:
            await self.notify("notifications/cancelled", {"requestId": request_id})
        finally:
            if parting is not None:
                parting.end()

    async def goodbye(self) -> None:
        """End a legacy session, so that the server need not wait for it to expire."""
        if self._session is not None and self._reason is None:
            with suppress(BackendError, TimeoutError):
                async with asyncio.timeout(GOODBYE_LIMIT), self._send("DELETE", {}, b""):
                    self.lose("the session was ended")

    # --- asking

    async def _ask(
        self, request_id: int, method: str, body: bytes, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        async with self._send("POST", headers, body) as answer:
            if not 200 <= answer.status < 300:
                raise await refusal(answer, had_session=self._session is not None)
            if method == "initialize":
                self._session = answer.header(SESSION_HEADER) or None
            kind = answer.header("content-type").lower()
            if kind.startswith("application/json"):
                return jsonrpc.result_of(only_response(await whole(answer)))
            if not kind.startswith("text/event-stream"):
                raise ConnectionLost(f"no answer, but HTTP {answer.status} {kind}".rstrip())
            cursor = Cursor()
            try:
                response = await self._listen(answer, request_id, cursor)
            except ConnectionLost:
                if not self._can_resume(cursor):
                    raise
                response = None
        if response is None:
            response = await self._resume(request_id, cursor)
        return jsonrpc.result_of(response)

    async def _listen(
        self, answer: Answer, request_id: int | None, cursor: Cursor
    ) -> jsonrpc.Message | None:
        """Hear a stream until the response to our request; None when it ends without one.

        Raises:
            ConnectionLost: It broke off, or ended and cannot be taken up again.
        """
        async for event in events(answer):
            cursor.saw(event)
            for message in messages(event):
                if "method" not in message:
                    if request_id is not None:
                        return message
                else:
                    self._told(message, request_id)
        if request_id is not None and not self._can_resume(cursor):
            raise ConnectionLost("the answer's stream ended without an answer")
        return None

    def _told(self, message: jsonrpc.Message, owner: int | None) -> None:
        method = message["method"]
        if not isinstance(method, str):
            return
        if "id" in message:
            self._hearing.asked(message, owner, self._reply)
        else:
            self._hearing.notified(method, message.get("params"), owner)

    def _can_resume(self, cursor: Cursor) -> bool:
        return cursor.last_id is not None and self._version not in MODERN_PROTOCOL_VERSIONS

    async def _resume(self, request_id: int, cursor: Cursor) -> jsonrpc.Message:
        """A legacy server may close a stream and go on when asked from the last event."""
        failures = 0
        while failures < RESUMES:
            await asyncio.sleep(cursor.retry)
            before = cursor.last_id
            try:
                async with self._send(
                    "GET", {"last-event-id": cursor.last_id or ""}, b""
                ) as answer:
                    if answer.status != 200:
                        raise await refusal(answer, had_session=self._session is not None)
                    response = await self._listen(answer, request_id, cursor)
                    if response is not None:
                        return response
            except BackendError:
                failures += 1
            else:
                failures = failures + 1 if cursor.last_id == before else 0
        raise ConnectionLost("the answer's stream ended and could not be taken up again")

    # --- beside calls

    def _reply(self, message: jsonrpc.Message) -> None:
        self._side.start(self._replied(message))

    async def _replied(self, message: jsonrpc.Message) -> None:
        """The tool waits for it: tried again, which is harmless, where it may not have arrived."""
        for _ in range(REPLIES):
            if await self._aside(message):
                return

    async def _aside(self, message: jsonrpc.Message) -> bool:
        """Whether it arrived, as far as can be known."""
        with suppress(BackendError, TimeoutError):
            async with asyncio.timeout(ASIDE_LIMIT):
                async with self._send("POST", {}, jsonrpc.encode(message)) as answer:
                    await whole(answer)
                    return True
        return False

    async def _hear_session(self) -> None:
        """The legacy stream for what belongs to no request; servers need not offer it."""
        loop = asyncio.get_running_loop()
        delay = RESUME_DELAY
        while self._reason is None:
            cursor, started = Cursor(), loop.time()
            try:
                async with self._send("GET", {}, b"") as answer:
                    if answer.status == 404:
                        self.lose("the backend has forgotten the session")
                    if not _may_stream(answer):
                        return
                    await self._listen(answer, None, cursor)
            except BackendError:
                pass  # the next call finds out what it means
            lasted = loop.time() - started
            delay = RESUME_DELAY if lasted > delay else min(HEAR_AGAIN_LIMIT, delay * 2)
            await asyncio.sleep(max(delay, cursor.retry))
            # What was said meanwhile is gone.
            self._hearing.notified("notifications/tools/list_changed", None, None)

    def _send(self, method: str, headers: Mapping[str, str], body: bytes) -> Sending:
        whole = {**_ACCEPT, **headers}
        if self._session is not None:
            whole[SESSION_HEADER] = self._session
        if self._version is not None:
            whole.setdefault(MCP_PROTOCOL_VERSION_HEADER, self._version)
        return Sending(self._exchange, method, self._url, whole, body, self._moved)

    def _moved(self, url: str) -> None:
        self._url = url


def _may_stream(answer: Answer) -> bool:
    """Whether this is a session's stream, or an outage after which there may be one."""
    if answer.status == 200:
        return answer.header("content-type").lower().startswith("text/event-stream")
    return answer.status >= 500
