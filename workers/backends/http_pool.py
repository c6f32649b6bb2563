"""Keep-alive connections to one backend, each looked at before it is used again."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from types import TracebackType
from urllib.parse import SplitResult, unquote, urlsplit

import httpx2

from common.tasks import cancel_and_join
from workers.backends.base import ConnectionLost, NotStarted
from workers.backends.envelope import CLIENT_INFO
from workers.backends.exchange import CONNECT_LIMIT, IDLE_LIMIT
from workers.backends.http1 import HttpConnection

LINGER = 1.0  # seconds for the rest of an answer whose wanted part has come


class HttpPool:
    """The `Exchange` over plain HTTP/1.1 connections of our own."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        always = {
            "user-agent": f"{CLIENT_INFO['name']}/{CLIENT_INFO['version']}",
            "accept-encoding": "identity",
            **{name.lower(): value for name, value in headers.items()},
        }
        self._lines = {name: _line(name, value) for name, value in always.items()}
        self._cookies: dict[str, str] = {}  # gateways keep a session on its server by them
        self._idle: list[HttpConnection] = []
        self._sweep: asyncio.TimerHandle | None = None
        self._lingering: set[asyncio.Task[None]] = set()

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> "Sent":
        """See `Exchange.send`."""
        parts = urlsplit(url)
        return Sent(self, parts, self._request(method, parts, headers, body))

    async def aclose(self) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        for connection in self._idle:
            connection.abort()
        await cancel_and_join(*self._lingering)

    async def take(self, url: SplitResult) -> HttpConnection:
        """A live connection.

        Raises:
            NotStarted: There is none to be had.
        """
        oldest = asyncio.get_running_loop().time() - IDLE_LIMIT
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since >= oldest and connection.quiet:
                return connection
            connection.abort()
        return await _connect(url)

    def give_back(self, connection: HttpConnection) -> None:
        """The answer was had; the connection can be used again once all of it has come."""
        if connection.reusable:
            self._rest(connection)
            return
        task = asyncio.create_task(self._outlast(connection))
        self._lingering.add(task)
        task.add_done_callback(self._lingering.discard)

    def learn(self, connection: HttpConnection) -> None:
        for line in filter(None, connection.headers.get("set-cookie", "").split("\n")):
            name, _, value = line.partition(";")[0].partition("=")
            self._cookies[name.strip()] = value.strip()

    async def _outlast(self, connection: HttpConnection) -> None:
        try:
            async with asyncio.timeout(LINGER):
                await connection.drain()
        except (ConnectionLost, TimeoutError):
            pass
        finally:
            if connection.reusable:
                self._rest(connection)
            else:
                connection.abort()

    def _rest(self, connection: HttpConnection) -> None:
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(IDLE_LIMIT, self._drop_old)

    def _drop_old(self) -> None:
        loop = asyncio.get_running_loop()
        oldest = loop.time() - IDLE_LIMIT
        kept = []
        for connection in self._idle:
            if connection.idle_since > oldest:
                kept.append(connection)
            else:
                connection.abort()
        self._idle = kept
        self._sweep = None
        if kept:
            first = min(connection.idle_since for connection in kept)
            self._sweep = loop.call_at(first + IDLE_LIMIT, self._drop_old)

    def _request(
        self, method: str, url: SplitResult, headers: Mapping[str, str], body: bytes
    ) -> bytes:
        lines = {"host": _line("host", _authority(url)), **self._lines}
        for name, value in headers.items():
            lines[name] = _line(name, value)
        if "@" in url.netloc:
            lines.setdefault("authorization", _line("authorization", _basic(url)))
        if self._cookies:
            pairs = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
            lines["cookie"] = _line("cookie", pairs)
        if method == "POST":
            lines["content-length"] = _line("content-length", str(len(body)))
        head = "".join(lines.values())
        if not head.count("\r") == head.count("\n") == len(lines) or "\0" in head:
            raise NotStarted("a configured header has a line break in it")
        target = f"{url.path or '/'}{'?' + url.query if url.query else ''}"
        return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body


class Sent:
    """One exchange as a block: entered with the answer's head, left with the connection settled."""

    def __init__(self, pool: HttpPool, url: SplitResult, request: bytes) -> None:
        self._pool = pool
        self._url = url
        self._request = request
        self._connection: HttpConnection | None = None

    async def __aenter__(self) -> "HttpAnswer":
        connection = self._connection = await self._pool.take(self._url)
        try:
            connection.begin(self._request)
            await connection.head()
        except BaseException:
            connection.abort()
            raise
        self._pool.learn(connection)
        return HttpAnswer(connection)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._connection is None:
            return
        if exc is None or self._connection.reusable:
            self._pool.give_back(self._connection)
        else:
            # Cancelled, or nobody wants the rest: for a modern backend this is the cancellation.
            self._connection.abort()


class HttpAnswer:
    def __init__(self, connection: HttpConnection) -> None:
        self.status = connection.status
        self.chunks = connection.chunks
        self._headers = connection.headers

    def header(self, name: str) -> str:
        return self._headers.get(name, "")


async def _connect(url: SplitResult) -> HttpConnection:
    secure = url.scheme == "https"
    try:
        async with asyncio.timeout(CONNECT_LIMIT):
            _, connection = await asyncio.get_running_loop().create_connection(
                HttpConnection,
                url.hostname or "",
                url.port or (443 if secure else 80),
                ssl=_tls() if secure else None,
            )
    except TimeoutError:
        raise NotStarted(f"could not connect within {CONNECT_LIMIT:g} s") from None
    except (OSError, ValueError) as error:
        raise NotStarted(f"could not connect: {error}") from error
    return connection


@cache
def _tls() -> ssl.SSLContext:
    # Costs 50 ms and more: once per process, never per connection.
    return httpx2.create_ssl_context()


def _line(name: str, value: str) -> str:
    return f"{name}: {value}\r\n"


def _authority(url: SplitResult) -> str:
    return url.netloc.rpartition("@")[2]


def _basic(url: SplitResult) -> str:
    pair = f"{unquote(url.username or '')}:{unquote(url.password or '')}"
    return f"Basic {b64encode(pair.encode()).decode()}"
