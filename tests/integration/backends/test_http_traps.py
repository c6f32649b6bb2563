"""What HTTP does to a call when servers, networks and time misbehave."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.backends.legacy_http import LegacyHttp
from tests.support.backends.pools import Heard, Pooled, call, http, pooled
from tests.support.backends.serving import RawServer, raw_server, served
from tests.support.waiting import until
from workers.backends.base import (
    BackendError,
    ConnectionLost,
    NotStarted,
    Overloaded,
    ProtocolFailure,
)

pytestmark = pytest.mark.anyio

TOOLS = [{"name": "echo", "inputSchema": {"type": "object"}}]


def answer_to(body: bytes) -> bytes:
    """A whole HTTP answer of a legacy server without sessions."""
    message = orjson.loads(body)
    match message["method"]:
        case "initialize":
            result: Any = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
        case "tools/list":
            result = {"tools": TOOLS}
        case "server/discover":
            return b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n"
        case "notifications/initialized":
            return b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
        case _:
            result = {"content": []}
    content = orjson.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result})
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    return f"{head}\r\n\r\n".encode() + content


def polite(server: RawServer, connection: socket.socket) -> None:
    while body := server.read(connection):
        connection.sendall(answer_to(body))
    server.closed.set()


def leaves_after_each_call(server: RawServer, connection: socket.socket) -> None:
    """Promises to keep the connection, and closes it: what every idle limit looks like."""
    while body := server.read(connection):
        connection.sendall(answer_to(body))
        if b"tools/call" in body:
            break
    connection.close()
    server.closed.set()


def hangs_up_on_calls(server: RawServer, connection: socket.socket) -> None:
    while (body := server.read(connection)) and b"tools/call" not in body:
        connection.sendall(answer_to(body))


def calls_in(server: RawServer) -> int:
    return sum(b"tools/call" in body for body in server.requests)


async def failed(backend: Pooled) -> BackendError:
    with pytest.raises(BackendError) as failure:
        await backend.call("echo")
    return failure.value


async def test_a_connection_closed_while_idle_fails_no_call(tmp_path: Path) -> None:
    """Also when the event loop had no time to see that it was closed."""
    with raw_server(leaves_after_each_call) as server:
        async with pooled(http(server.url), tmp_path) as backend:
            place = await backend.pool.wait_place()
            for _ in range(5):
                server.closed.clear()
                assert (await place.call(call("echo"), Heard())) == {"content": []}
                # Holds the event loop up until the server has closed; the next call comes
                # before the loop can look at anything.
                assert server.closed.wait(5)
        assert calls_in(server) == 5


async def test_idle_connections_are_used_again_and_dropped_after_two_seconds(
    tmp_path: Path,
) -> None:
    with raw_server(polite) as server:
        async with pooled(http(server.url), tmp_path) as backend:
            for _ in range(10):
                await backend.call("echo")
            assert server.connections == 1
            assert not server.closed.is_set()
            await until(server.closed.is_set, seconds=5)


async def test_a_request_is_never_sent_again(tmp_path: Path) -> None:
    """The server read it and hung up: the outcome is unknown, and that is what is said."""
    with raw_server(hangs_up_on_calls) as server:
        async with pooled(http(server.url), tmp_path) as backend:
            assert isinstance(await failed(backend), ConnectionLost)
        assert calls_in(server) == 1


async def test_a_failed_post_harms_neither_other_calls_nor_later_ones(tmp_path: Path) -> None:
    """In the SDK's client it ends the connection and every call on it."""
    legacy = LegacyHttp()
    async with served(legacy.app()) as url:
        with raw_server(hangs_up_on_calls) as bad:
            urls = (f"{url}/mcp", bad.url)
            async with pooled(http(*urls, balance="round-robin"), tmp_path) as backend:
                await until(lambda: all(r.state == "ready" for r in backend.pool.status().replicas))
                waiting = asyncio.create_task(backend.call("wait"))
                await legacy.waiting.wait()
                assert isinstance(await failed(backend), ConnectionLost)
                assert (await backend.call("echo"))["content"] == [{"type": "hologram"}]
                legacy.released.set()
                assert (await waiting)["content"][0]["text"] == "done"
                assert backend.pool.status().replicas[1].state == "ready"


def reply(status: str, body: bytes = b"", *, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@pytest.mark.parametrize(
    ("sent", "outcome", "message"),
    [
        (reply("503 Unavailable"), ConnectionLost, "no answer, but HTTP 503"),
        (reply("401 Unauthorized", b"no"), ProtocolFailure, "the backend refused: HTTP 401"),
        (reply("429 Slow Down"), Overloaded, "the backend refused: HTTP 429, too many requests"),
        (reply("202 Accepted", kind="text/plain"), ConnectionLost, None),
        (reply("400 Bad", b'{"error":{"code":-7,"message":"no"}}'), ProtocolFailure, "no"),
        (reply("200 OK", b"<html"), ProtocolFailure, None),
        (reply("200 OK", b"{" * 99)[:-1], ConnectionLost, None),
        (b"SSH-2.0-OpenSSH_9.9\r\n", ConnectionLost, None),
    ],
)
async def test_what_an_odd_answer_means(
    tmp_path: Path, sent: bytes, outcome: type[BackendError], message: str | None
) -> None:
    def handle(server: RawServer, connection: socket.socket) -> None:
        while (body := server.read(connection)) and b"tools/call" not in body:
            connection.sendall(answer_to(body))
        connection.sendall(sent)

    with raw_server(handle) as server:
        async with pooled(http(server.url), tmp_path) as backend:
            failure = await failed(backend)
    assert type(failure) is outcome
    assert message is None or failure.message == message


BUSY = b'{"error":{"code":-7,"message":"busy"}}'


@pytest.mark.parametrize(
    ("sent", "outcome", "seconds"),
    [
        (reply("429 Slow Down\r\nRetry-After: 7", BUSY), Overloaded, 7.0),
        (reply("503 Unavailable\r\nRetry-After: 7"), ConnectionLost, 7.0),
        (reply("503 Unavailable\r\nRetry-After: 7", BUSY), ProtocolFailure, 7.0),
        (reply("500 Broken\r\nRetry-After: 7"), ConnectionLost, None),
    ],
)
async def test_when_a_server_asks_to_come_again(
    tmp_path: Path, sent: bytes, outcome: type[BackendError], seconds: float | None
) -> None:
    """Too much to do proves that nothing ran for 429 alone; and that server is still up."""

    def handle(server: RawServer, connection: socket.socket) -> None:
        while (body := server.read(connection)) and b"tools/call" not in body:
            connection.sendall(answer_to(body))
        connection.sendall(sent)

    with raw_server(handle) as server:
        async with pooled(http(server.url), tmp_path) as backend:
            failure = await failed(backend)
            assert backend.pool.status().replicas[0].state == "ready"
    assert (type(failure), failure.retry_after) == (outcome, seconds)


async def test_a_refused_connection_starts_nothing(tmp_path: Path) -> None:
    with raw_server(leaves_after_each_call) as server:
        async with pooled(http(server.url), tmp_path) as backend:
            await backend.call("echo")
            place = await backend.pool.wait_place()
            server.stop()
            with pytest.raises(NotStarted):
                await place.call(call("echo"), Heard())
            place.release()
            assert backend.pool.try_place() is None
            await until(lambda: backend.pool.status().replicas[0].state == "backoff")


@pytest.mark.parametrize("proxied", [False, True])
async def test_silence_is_no_error(
    tmp_path: Path, proxied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's client gives a call up after 300 s of silence; here a day may pass.

    The loop's clock jumps while the call waits, so any time-out on the way would fire at once.
    """
    loop = asyncio.get_running_loop()
    legacy = LegacyHttp()
    async with served(legacy.app()) as url:
        if proxied:
            monkeypatch.setenv("http_proxy", url)
            monkeypatch.delenv("no_proxy", raising=False)
        target = "http://backend.internal" if proxied else url
        async with pooled(http(f"{target}/mcp"), tmp_path) as backend:
            waiting = asyncio.create_task(backend.call("wait"))
            await legacy.waiting.wait()
            started, real = loop.time(), loop.time
            monkeypatch.setattr(loop, "time", lambda: real() + 86_400)
            assert loop.time() - started > 86_399
            # The clock went on while other requests come and go.
            assert (await backend.call("echo"))["content"]
            assert not waiting.done()
            legacy.released.set()
            assert (await waiting)["content"][0]["text"] == "done"


async def test_a_backend_behind_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    legacy = LegacyHttp()
    async with served(legacy.app()) as url:
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.delenv("no_proxy", raising=False)
        async with pooled(http("http://backend.internal/mcp"), tmp_path) as backend:
            heard = Heard()
            await backend.call("steps", heard, count=3, who="it")
            assert heard.values == [1.0, 2.0, 3.0]
        assert dict(legacy.asked)["tools/call"]["host"] == "backend.internal"
