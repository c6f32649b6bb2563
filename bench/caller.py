"""The raw caller: keep-alive HTTP connections that cost next to nothing, so that servers show."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import orjson

VERSION = "2026-07-28"


class CallFailedError(Exception):
    """An answer that is not the echo."""


def request(url: str, tool: str, arguments: dict[str, object]) -> bytes:
    """One tools/call of 2026-07-28 as the bytes of an HTTP request."""
    parts = urlsplit(url)
    body = orjson.dumps(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "tools/call",
            "params": {
                "name": tool,
                "arguments": arguments,
                "_meta": {
                    "io.modelcontextprotocol/protocolVersion": VERSION,
                    "io.modelcontextprotocol/clientCapabilities": {},
                    "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
                },
            },
        }
    )
    head = (
        f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        "content-type: application/json\r\naccept: application/json, text/event-stream\r\n"
        f"mcp-protocol-version: {VERSION}\r\nmcp-method: tools/call\r\nmcp-name: {tool}\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


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
        self.send(request_bytes)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if b"transfer-encoding: chunked" in head:
            body = await self._chunks()
        else:
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            body = await self._reader.readexactly(length)
        if not head.startswith(b"http/1.1 " + status) or marker not in body:
            raise CallFailedError((head + body)[:600].decode(errors="replace"))

    async def _chunks(self) -> bytes:
        body = b""
        while True:
            size = int((await self._reader.readuntil(b"\r\n")).strip(), 16)
            chunk = await self._reader.readexactly(size + 2)
            if size == 0:
                return body
            body += chunk[:-2]

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


async def sequential(url: str, tool: str, calls: int) -> Latencies:
    connection = await Connection.to(url)
    bytes_ = request(url, tool, {"text": "ping"})
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        await connection.call(bytes_, b"ping")
        times.append(time.perf_counter() - started)
    connection.close()
    return Latencies.of(times)


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
