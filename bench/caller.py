"""The raw caller: keep-alive HTTP connections that cost next to nothing, so that servers show."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson

VERSION = "2026-07-28"
TASKS = "io.modelcontextprotocol/tasks"


class CallFailedError(Exception):
    """An answer that is not the echo."""


def message(
    url: str, method: str, params: Mapping[str, object], *, name: str = "", tasks: bool = False
) -> bytes:
    """One message of 2026-07-28 as the bytes of an HTTP request."""
    parts = urlsplit(url)
    capabilities: dict[str, object] = {"extensions": {TASKS: {}}} if tasks else {}
    meta = {
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    }
    full = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    body = orjson.dumps(full)
    named = f"mcp-name: {name}\r\n" if name else ""
    head = (
        f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        "content-type: application/json\r\naccept: application/json, text/event-stream\r\n"
        f"mcp-protocol-version: {VERSION}\r\nmcp-method: {method}\r\n{named}"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def request(url: str, tool: str, arguments: Mapping[str, object], *, tasks: bool = False) -> bytes:
    """One tools/call."""
    params = {"name": tool, "arguments": arguments}
    return message(url, "tools/call", params, name=tool, tasks=tasks)


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def to(cls, url: str) -> "Connection":
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    def send(self, request_bytes: bytes) -> None:
        self._writer.write(request_bytes)

    async def call(self, request_bytes: bytes, marker: bytes, status: bytes = b"200") -> None:
        """Raises: CallFailedError: The answer does not hold the marker."""
        body = await self.answer(request_bytes, status)
        if marker not in body:
            raise CallFailedError(body[:600].decode(errors="replace"))

    async def answer(self, request_bytes: bytes, status: bytes = b"200") -> bytes:
        """The body. Raises: CallFailedError: Another status."""
        head = await self._head(request_bytes)
        if b"transfer-encoding: chunked" in head:
            body = b"".join([chunk async for chunk in self._chunks()])
        else:
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            body = await self._reader.readexactly(length)
        if not head.startswith(b"http/1.1 " + status):
            raise CallFailedError((head + body)[:600].decode(errors="replace"))
        return body

    async def stream(self, request_bytes: bytes) -> AsyncIterator[bytes]:
        """What comes of a response that stays open. Raises: CallFailedError: There is no such."""
        head = await self._head(request_bytes)
        if not head.startswith(b"http/1.1 200") or b"text/event-stream" not in head:
            raise CallFailedError(head.decode(errors="replace"))
        async for chunk in self._chunks():
            yield chunk

    async def _head(self, request_bytes: bytes) -> bytes:
        self.send(request_bytes)
        return (await self._reader.readuntil(b"\r\n\r\n")).lower()

    async def _chunks(self) -> AsyncIterator[bytes]:
        while True:
            size = int((await self._reader.readuntil(b"\r\n")).strip(), 16)
            chunk = await self._reader.readexactly(size + 2)
            if size == 0:
                return
            yield chunk[:-2]

    def close(self) -> None:
        self._writer.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    p50: float  # ms
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Latencies":
        ordered = sorted(seconds)

        def at(share: float) -> float:
            return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000

        return cls(p50=at(0.50), p95=at(0.95), p99=at(0.99))


async def sequential(url: str, tool: str, calls: int) -> list[float]:
    """How long each took, in seconds, one after the other."""
    connection = await Connection.to(url)
    bytes_ = request(url, tool, {"text": "ping"})
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        await connection.call(bytes_, b"ping")
        times.append(time.perf_counter() - started)
    connection.close()
    return times


async def in_flight(url: str, tool: str, *, at_once: int, calls: int) -> float:
    """Calls a second with so many under way all the time."""
    bytes_ = request(url, tool, {"text": "ping"})
    left = calls

    async def lane(connection: Connection) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await connection.call(bytes_, b"ping")

    connections = [await Connection.to(url) for _ in range(at_once)]
    started = time.perf_counter()
    await asyncio.gather(*(lane(connection) for connection in connections))
    elapsed = time.perf_counter() - started
    for connection in connections:
        connection.close()
    return calls / elapsed


async def answered(ask: Callable[[], Awaitable[None]], seconds: float = 60.0) -> None:
    """Wait until a call goes through."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await ask()
        except (OSError, CallFailedError, asyncio.IncompleteReadError, IndexError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
