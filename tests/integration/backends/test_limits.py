"""Every wait has an end, every size a limit, and a subscription that is lost is taken up again."""

import asyncio
import re
import socket
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from common.config.model import Backend
from tests.support.backends.legacy_http import LegacyHttp
from tests.support.backends.pools import Pooled, http, pooled, stdio
from tests.support.backends.serving import RawServer, raw_server, served
from tests.support.waiting import until
from workers.backends import doors, events_wire, handshake, jsonrpc, replica, session, sse
from workers.backends.base import ConnectionLost, ProtocolFailure
from workers.backends.duplex import DuplexLink
from workers.backends.events_wire import EventsWire
from workers.backends.http_pool import HttpPool
from workers.backends.link import Hearing
from workers.backends.side import Side
from workers.backends.stderr import FILE_SIZE, Stderr, StderrFile, log_file

pytestmark = pytest.mark.anyio


async def down(backend: Pooled) -> str:
    await until(lambda: backend.pool.status().replicas[0].last_error)
    return backend.pool.status().replicas[0].last_error or ""


async def test_a_process_that_says_nothing_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "PATIENCE", 0.05)
    monkeypatch.setattr(replica, "HANDSHAKE_LIMIT", 0.3)
    config = Backend(name="it", command=sys.executable, args=("-c", "input(); input(); input()"))
    async with pooled(config, tmp_path) as backend:
        assert "did not answer in time" in await down(backend)


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 503 Busy\r\ncontent-length: 9\r\n\r\n"])
async def test_an_event_stream_that_does_not_begin_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    """As one asked of a server that hangs: it would be waited for long after that is well again."""
    monkeypatch.setattr(doors, "CONNECT_LIMIT", 0.3)

    def hangs(server: RawServer, connection: socket.socket) -> None:
        del server
        connection.recv(65_536)
        connection.sendall(head)
        connection.recv(65_536)

    with raw_server(hangs) as server:
        config = Backend(name="it", transport="sse", urls=(server.url,))
        async with pooled(config, tmp_path) as backend:
            assert "did not answer in time" in await down(backend)
            await until(lambda: server.connections > 1)


async def test_what_is_said_beside_calls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that a call is cancelled, to an HTTP+SSE server that takes it and never says so."""
    monkeypatch.setattr(events_wire, "ASIDE_LIMIT", 0.3)

    def hangs(server: RawServer, connection: socket.socket) -> None:
        server.read(connection)
        server.read(connection)  # until the other end is closed
        server.closed.set()

    with raw_server(hangs) as server:
        async with Side("it") as side:
            link = DuplexLink("it", Hearing("it", lambda: None))
            EventsWire(server.url, HttpPool({}), side, link).say(b"{}")
            await until(server.closed.is_set)
            assert server.requests == [b"{}"]


async def test_a_message_over_the_limit_ends_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonrpc, "MAX_MESSAGE", 100_000)
    async with pooled(stdio("legacy_stdio"), tmp_path) as backend:
        with pytest.raises(ConnectionLost, match="more than 100000 bytes"):
            await backend.call("big", size=10_000_000)
        assert (await backend.call("big", size=10))["content"]


async def test_a_message_over_the_limit_fails_its_call_over_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jsonrpc, "MAX_MESSAGE", 100_000)
    monkeypatch.setattr(sse, "MAX_MESSAGE", 100_000)
    async with served(LegacyHttp().app()) as url, pooled(http(f"{url}/mcp"), tmp_path) as backend:
        with pytest.raises(ProtocolFailure, match="larger than 100000 bytes"):
            await backend.call("big", size=10_000_000)
        assert (await backend.call("big", size=10))["content"]


async def test_a_lost_subscription_is_taken_up_again_and_what_was_missed_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first stream ends without a word; the list had changed meanwhile."""
    monkeypatch.setattr(session, "LISTEN_AGAIN", 0.05)
    tools: list[Any] = [{"name": "one", "inputSchema": {"type": "object"}}]
    listens = asyncio.Queue[Any]()
    ends = asyncio.Event()

    async def stream() -> Any:
        yield ": listening\n\n"
        await ends.wait()

    async def post(request: Request) -> Response:
        message = await request.json()
        results = {
            "server/discover": {
                "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {"listChanged": True}},
            },
            "tools/list": {"tools": tools},
        }
        if message["method"] == "subscriptions/listen":
            listens.put_nowait(message["params"]["notifications"])
            return StreamingResponse(stream(), media_type="text/event-stream")
        result = results[message["method"]]
        body = orjson.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})
        return Response(body, media_type="application/json")

    app = Starlette(routes=[Route("/mcp", post, methods=["POST"])])
    async with served(app) as url, pooled(http(f"{url}/mcp"), tmp_path) as backend:
        assert await listens.get() == {"toolsListChanged": True}
        await backend.listing()
        tools.append({"name": "two", "inputSchema": {"type": "object"}})
        ends.set()
        await listens.get()
        await until(lambda: len(backend.listings[-1].tools) == 2)


def test_stderr_is_kept_in_two_files_of_a_fixed_size(tmp_path: Path) -> None:
    file = StderrFile(log_file(tmp_path, "noisy"))
    stderr = Stderr(file)
    for number in range(60):
        stderr.feed(7, b"x" * 50_000 + b"\n" + f"line {number}".encode() + b"\nhalf")
        stderr.feed(7, b" a line\n" * 3_000)
    stderr.feed(7, b"last words")
    assert stderr.last == " a line"
    stderr.flush(7)
    file.close()
    assert stderr.last == "last words"
    kept = sorted((tmp_path / "logs").iterdir())
    assert [path.name for path in kept] == ["noisy.log", "noisy.log.1"]
    assert all(path.stat().st_size <= FILE_SIZE for path in kept)
    assert re.search(r"^7 line 59$", kept[0].read_text(), re.MULTILINE)
