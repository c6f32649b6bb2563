"""Backends behind a URL: both eras, streams, cancellation, and who hears what."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.backends.legacy_http import LegacyHttp
from tests.support.backends.pools import Heard, call, http, pooled
from tests.support.backends.serving import answers, program, served
from tests.support.ports import free_port
from tests.support.waiting import until
from workers.backends.base import Call, ConnectionLost, NotStarted

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def modern() -> Iterator[str]:
    port = free_port()
    with program("modern", port):
        yield f"http://127.0.0.1:{port}/mcp"


async def test_a_modern_server(modern: str, tmp_path: Path) -> None:
    heard = Heard()
    async with pooled(http(modern), tmp_path) as backend:
        listing = await backend.listing()
        assert (listing.era, listing.protocol_version) == ("modern", "2026-07-28")
        async with await backend.pool.wait_place() as place:
            wish = Call(
                tool="steps",
                arguments={"count": 3},
                meta={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
                client_capabilities={},
                log_level="info",
            )
            result = await place.call(wish, heard)
    assert result["content"] == [{"type": "text", "text": "done"}]
    assert heard.values == [1.0, 2.0, 3.0]
    assert heard.checkpoints == [[1], [2], [3]]
    assert heard.lines == ["log 1", "log 2", "log 3"]


async def test_headers_are_minted_from_the_backends_own_schema(modern: str, tmp_path: Path) -> None:
    """The SDK's server refuses the call when they do not match the body."""
    async with pooled(http(modern), tmp_path) as backend:
        for region in ("eu", " Zürich"):
            result = await backend.call("located", region=region)
            assert result["structuredContent"] == {"result": region}


async def test_cancelling_closes_the_stream_of_a_modern_call(modern: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    async with pooled(http(modern), tmp_path) as backend:
        hanging = asyncio.create_task(backend.call("hang", mark=str(mark)))
        await until(Path(f"{mark}.running").exists)
        hanging.cancel()
        await until(Path(f"{mark}.cancelled").exists)
        assert (await backend.call("echo", text="still there"))["content"]


async def test_a_changed_list_of_a_modern_server_is_read_again(tmp_path: Path) -> None:
    port = free_port()
    with program("modern", port):
        async with pooled(http(f"http://127.0.0.1:{port}/mcp"), tmp_path) as backend:
            await backend.listing()
            await backend.call("grow")
            await until(lambda: "grown" in [tool["name"] for tool in backend.listings[-1].tools])


@pytest.mark.parametrize("size", [2 * 1024 * 1024, 20 * 1024 * 1024])
async def test_a_large_result_passes(modern: str, tmp_path: Path, size: int) -> None:
    """The modern server streams it as one event, the legacy one sends it as a body."""
    async with pooled(http(modern), tmp_path) as backend:
        heard = Heard()
        result = await backend.call("big", heard, size=size)
        assert len(result["content"][0]["text"]) == size
    async with served(LegacyHttp().app()) as url, pooled(http(f"{url}/mcp"), tmp_path) as backend:
        result = await backend.call("big", size=size)
        assert len(result["content"][0]["text"]) == size


async def test_fifty_calls_share_the_replica(modern: str, tmp_path: Path) -> None:
    async with pooled(http(modern, concurrency=50), tmp_path) as backend:
        calls = (backend.call("echo", text=str(number)) for number in range(50))
        results = await asyncio.gather(*calls)
    texts = [result["structuredContent"]["result"] for result in results]
    assert texts == [str(number) for number in range(50)]


async def test_a_killed_server_costs_its_calls_and_no_others(tmp_path: Path) -> None:
    """One of two replicas is killed; the other's call goes on, and the killed one comes back."""
    ports = free_port(), free_port()
    urls = [f"http://127.0.0.1:{port}/mcp" for port in ports]
    with program("legacy_http", ports[0]) as first, program("legacy_http", ports[1]) as second:
        async with pooled(http(*urls), tmp_path) as backend:
            await until(lambda: all(r.state == "ready" for r in backend.pool.status().replicas))
            calls = [asyncio.create_task(backend.call("wait")) for _ in ports]
            await until(lambda: [r.in_flight for r in backend.pool.status().replicas] == [1, 1])
            assert len({(await backend.call("pid"))["pid"] for _ in range(4)}) == 2
            os.kill(first.pid, signal.SIGKILL)
            done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED, timeout=5)
            assert len(done) == 1
            assert isinstance(done.pop().exception(), ConnectionLost)
            await until(lambda: not answers(ports[0]))
            outcomes = [await tried(backend.call("pid")) for _ in range(4)]
            assert all(o in {second.pid, NotStarted} for o in outcomes)
            assert outcomes[-1] == second.pid  # the dead replica gets no more calls
            with program("legacy_http", ports[0]):
                await until(lambda: backend.pool.status().replicas[0].state == "ready")
            for unfinished in calls:
                unfinished.cancel()


async def tried(calling: Awaitable[dict[str, Any]]) -> Any:
    try:
        return (await calling)["pid"]
    except NotStarted:
        return NotStarted


async def test_a_legacy_server(tmp_path: Path) -> None:
    server = LegacyHttp()
    async with served(server.app()) as url:
        async with pooled(http(f"{url}/mcp", headers={"X-Acme": "1"}), tmp_path) as backend:
            assert (await backend.listing()).protocol_version == "2025-06-18"
            result = await backend.call("echo", text="hi")
        assert result["content"] == [{"type": "hologram"}]
        assert result["got"]["arguments"] == {"text": "hi"}
        asked = dict(server.asked)
        assert asked["tools/call"]["mcp-protocol-version"] == "2025-06-18"
        assert asked["tools/call"]["mcp-session-id"] == "session-1"
        assert asked["tools/call"]["cookie"] == "node=session-1"
        assert asked["tools/call"]["x-acme"] == "1"
        assert "mcp-method" not in asked["tools/call"]
        assert server.ended == ["session-1"]


async def test_what_only_modern_backends_know_is_kept_from_legacy_ones(tmp_path: Path) -> None:
    async with served(LegacyHttp().app()) as url, pooled(http(f"{url}/mcp"), tmp_path) as backend:
        place = await backend.pool.wait_place()
        asked = Call(
            tool="echo",
            meta={"io.modelcontextprotocol/logLevel": "info", "traceparent": "00-1", "mine": 1},
            client_capabilities={"roots": {}},
            log_level="debug",
            input_responses={"name": {}},
            request_state="s",
        )
        got = (await place.call(asked, Heard()))["got"]
        place.release()
    token = got["_meta"].pop("progressToken")
    assert isinstance(token, int)
    assert got == {"name": "echo", "_meta": {"traceparent": "00-1", "mine": 1}}


async def test_each_call_hears_its_own_stream(tmp_path: Path) -> None:
    first, second = Heard(), Heard()
    async with served(LegacyHttp().app()) as url, pooled(http(f"{url}/mcp"), tmp_path) as backend:
        await asyncio.gather(
            backend.call("steps", first, count=20, who="first"),
            backend.call("steps", second, count=20, who="second"),
        )
    assert first.values == second.values == [float(step + 1) for step in range(20)]
    assert first.checkpoints == [[step + 1] for step in range(20)]
    assert first.lines == [f"first {step + 1}" for step in range(20)]
    assert second.lines == [f"second {step + 1}" for step in range(20)]


async def test_cancelling_tells_a_legacy_server(tmp_path: Path) -> None:
    server = LegacyHttp()
    async with served(server.app()) as url, pooled(http(f"{url}/mcp"), tmp_path) as backend:
        waiting = asyncio.create_task(backend.call("wait"))
        await server.waiting.wait()
        waiting.cancel()
        await until(lambda: any(event.is_set() for event in server.cancelled.values()))
        server.released.set()


async def test_a_stream_that_is_closed_is_taken_up_again(tmp_path: Path) -> None:
    async with served(LegacyHttp().app()) as url, pooled(http(f"{url}/mcp"), tmp_path) as backend:
        assert (await backend.call("cut"))["resumed"] is True


async def test_a_stream_without_an_answer_costs_only_its_call(tmp_path: Path) -> None:
    server = LegacyHttp()
    async with served(server.app()) as url, pooled(http(f"{url}/mcp"), tmp_path) as backend:
        waiting = asyncio.create_task(backend.call("wait"))
        await server.waiting.wait()
        with pytest.raises(ConnectionLost):
            await backend.call("vanish")
        server.released.set()
        assert (await waiting)["content"][0]["text"] == "done"


async def test_a_legacy_servers_questions_are_answered(tmp_path: Path) -> None:
    async with served(LegacyHttp().app()) as url, pooled(http(f"{url}/mcp"), tmp_path) as backend:
        answer = (await backend.call("ask"))["answer"]
    assert answer == {"jsonrpc": "2.0", "id": "q", "result": {}}


async def test_a_changed_list_of_a_legacy_server_is_read_again(tmp_path: Path) -> None:
    server = LegacyHttp()
    async with served(server.app()) as url, pooled(http(f"{url}/mcp"), tmp_path) as backend:
        await backend.listing()
        await until(lambda: server.hearing)
        server.tools.append({"name": "grown", "inputSchema": {"type": "object"}})
        changed = {"method": "notifications/tools/list_changed"}
        server.announcements.put_nowait(changed)
        await until(lambda: backend.listings[-1].tools[-1]["name"] == "grown")


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_forgotten_session_is_begun_again(tmp_path: Path, by_hand: bool) -> None:
    """The call that found out was not run; the next one works."""
    server = LegacyHttp(by_hand=by_hand)
    async with served(server.app()) as url, pooled(http(f"{url}/mcp"), tmp_path) as backend:
        assert (await backend.call("echo"))["content"]
        server.forget()
        place = await backend.pool.wait_place()
        with pytest.raises(NotStarted):
            await place.call(call("echo"), Heard())
        place.release()
        assert (await backend.call("echo"))["content"]
        probes = [method for method, _ in server.asked if method == "server/discover"]
    assert len(probes) == 1  # the era is known: nobody probes again


async def test_a_server_without_sessions(tmp_path: Path) -> None:
    server = LegacyHttp(stateful=False)
    async with served(server.app()) as url, pooled(http(f"{url}/mcp"), tmp_path) as backend:
        assert (await backend.call("echo"))["content"]


async def test_a_redirect_on_the_same_server_is_followed(tmp_path: Path) -> None:
    async with served(LegacyHttp().app()) as url, pooled(http(f"{url}/old"), tmp_path) as backend:
        assert (await backend.call("echo"))["content"]


async def test_a_refusal_is_an_answer(tmp_path: Path) -> None:
    async with served(LegacyHttp().app()) as url, pooled(http(f"{url}/no"), tmp_path) as backend:
        await until(lambda: backend.pool.status().replicas[0].state == "backoff")
        assert backend.pool.status().replicas[0].last_error == "the backend refused: HTTP 404"
