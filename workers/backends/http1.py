"""One HTTP/1.1 connection: one exchange at a time, its answer parsed as it arrives.

A tenth of the CPU of a general HTTP client, and it knows exactly whether a request was begun.
"""

import asyncio
import select
import socket
from collections import deque
from collections.abc import AsyncIterator
from typing import cast

import httptools
from typing_extensions import override

from workers.backends.base import ConnectionLost

READ_AHEAD = 1024 * 1024  # bytes of an answer that may wait unread


class HttpConnection(asyncio.Protocol):
    """Used by `http_pool`: `begin`, read the head, read the body, and again while `reusable`."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._parser: httptools.HttpResponseParser | None = None
        self._news = asyncio.Event()
        self._chunks: deque[bytes] = deque()
        self._unread = 0
        self._paused = False
        self._fault: str | None = None
        self._head_done = False
        self._complete = False
        self._stays = False
        self.idle_since = 0.0
        self.status = 0
        self.headers: dict[str, str] = {}

    # --- for the pool

    @property
    def reusable(self) -> bool:
        """Whether the last exchange is over and another may follow."""
        return self._complete and self._stays and self._fault is None

    @property
    def quiet(self) -> bool:
        """Whether nothing came while it was idle: a byte or an end would be the server's goodbye.

        The socket is asked, because the event loop may not have come to look at it yet.
        """
        if self._transport is None or self._transport.is_closing():
            return False
        return not self._poll.poll(0)

    def begin(self, request: bytes) -> None:
        """Write a request; from here on it counts as begun."""
        self._parser = httptools.HttpResponseParser(self)
        self._chunks.clear()
        self._unread = 0
        self._fault = None
        self._head_done = self._complete = self._stays = False
        self.status, self.headers = 0, {}
        if self._transport is None or self._transport.is_closing():
            self._fail("the connection was closed")
            return
        self._transport.write(request)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # --- for who reads the answer

    async def head(self) -> None:
        """Wait until status and headers are there.

        Raises:
            ConnectionLost: They never will be.
        """
        while not self._head_done:
            if self._fault is not None:
                raise ConnectionLost(f"no answer: {self._fault}")
            await self._next_news()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes; see `exchange.Answer`."""
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._unread -= len(chunk)
                self._resume()
                yield chunk
            if self._complete:
                return
            if self._fault is not None:
                raise ConnectionLost(f"the answer broke off: {self._fault}")
            await self._next_news()

    async def drain(self) -> None:
        """Read and forget what is left of the answer."""
        async for _ in self.chunks():
            pass

    async def _next_news(self) -> None:
        self._news.clear()
        await self._news.wait()

    # --- what the event loop tells us

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        sock = cast("socket.socket", transport.get_extra_info("socket"))
        self._poll.register(sock, select.POLLIN)
        keep_alive(sock)

    @override
    def data_received(self, data: bytes) -> None:
        if self._parser is None or self._complete:
            # Nobody asked: whatever it is, this connection cannot be trusted any more.
            self.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"it is not HTTP: {error}")
            self.abort()
        if self._unread > READ_AHEAD and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._head_done and not self._complete and exc is None and self._ends_with_connection():
            self._complete = True
        self._fail(str(exc) if exc is not None else "the backend closed the connection")

    # --- what the parser tells us

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        known = self.headers.get(key)
        self.headers[key] = text if known is None else f"{known}\n{text}"

    def on_headers_complete(self) -> None:
        if self._parser is not None:
            self.status = self._parser.get_status_code()
        if self.status < 200:
            self.headers = {}  # "continue" and its like are no answer yet
            return
        self._head_done = True
        self._news.set()

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._unread += len(body)
        self._news.set()

    def on_message_complete(self) -> None:
        if self._head_done and self._parser is not None:
            # The parser forgets it with the message.
            self._stays = self._parser.should_keep_alive()
            self._complete = True
            self._news.set()

    def _fail(self, reason: str) -> None:
        self._fault = self._fault or reason
        self._news.set()

    def _resume(self) -> None:
        if self._paused and self._unread <= READ_AHEAD and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def _ends_with_connection(self) -> bool:
        chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        return not chunked and "content-length" not in self.headers


def keep_alive(sock: socket.socket) -> None:
    """Let the system notice a machine that is gone: a silent answer has no other clock."""
    if sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):  # macOS spells the first one otherwise
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
