"""Two ingresses on shared servers, behind a proxy that sends each request to the next of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp_types import ElicitResult

from common.config.model import Answering, Backend
from common.jobs.state import JobState
from tests.integration.backends.test_peers import FIRST, running
from tests.support.backends.legacy_http import LegacyHttp
from tests.support.peers import peer_python
from tests.support.ports import free_port
from tests.support.round_robin import RoundRobin, round_robin
from tests.support.routers import LEGACY, LegacyClient, Router, router
from tests.support.streams import Stream
from tests.support.system import Place
from tests.support.tasks import EXTENSION, TaskClient, legacy_request
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

PATIENT = Answering(call_wait=20.0, inline_wait=0.2)
ANN = {"action": "accept", "content": {"name": "Ann"}}


@dataclass(frozen=True, kw_only=True)
class Pair:
    url: str  # of the MCP endpoint, through the proxy
    proxy: RoundRobin
    one: Router  # jobs run here, whoever took them
    two: Router

    @property
    def both_served(self) -> bool:
        return len({base for _, base in self.proxy.served}) == len((self.one, self.two))


OpenPair = Callable[..., AbstractAsyncContextManager[Pair]]


@pytest.fixture
def pair_on(distributed_place: Place, tmp_path: Path) -> OpenPair:
    @asynccontextmanager
    async def opened(url: str, **backend: Any) -> AsyncIterator[Pair]:
        given = Backend(name="fixture", transport="http", urls=(url,), concurrency=8, **backend)
        shared: dict[str, Any] = {
            "broker_url": distributed_place.broker_url,
            "store_url": distributed_place.store_url,
            "namespace": distributed_place.namespace,
            "backends": (given,),
            "answering": PATIENT,
            "secret_key": "the same on both",
        }
        async with (
            router(tmp_path, url, **shared) as one,
            router(tmp_path, url, slots=0, **shared) as two,
        ):
            await until(lambda: two.ingress.feed.current.tools)
            bases = [each.url.removesuffix("/mcp") for each in (one, two)]
            async with round_robin(bases) as (base, proxy):
                yield Pair(url=f"{base}/mcp", proxy=proxy, one=one, two=two)

    return opened


@pytest.fixture(scope="module")
def first_url() -> Iterator[str]:
    """A backend of the handshake era whose tools ask in mid-call."""
    port = free_port()
    with running([str(peer_python("mcp1")), FIRST, "streamable-http", str(port)], port):
        yield f"http://127.0.0.1:{port}/mcp"


async def opened_session(http: httpx2.AsyncClient, pair: Pair) -> LegacyClient:
    """With one request to each replica."""
    client = LegacyClient(http, pair.url)
    params = {
        "protocolVersion": LEGACY,
        "capabilities": {"elicitation": {}},
        "clientInfo": {"name": "by-hand", "version": "0"},
    }
    response = await client.post("initialize", params, id=0)
    client.headers["mcp-session-id"] = response.headers["mcp-session-id"]
    client.headers["mcp-protocol-version"] = LEGACY
    assert (await client.post("notifications/initialized")).status_code == 202
    return client


# --- questions: both eras of clients, both eras of backends


@pytest.mark.parametrize("era", ["modern", "handshake"])
@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
async def test_a_tool_asks_its_caller(
    pair_on: OpenPair, asking_url: str, first_url: str, tmp_path: Path, mode: Any, era: str
) -> None:
    asked: list[str] = []

    async def answer(context: Any, params: Any) -> ElicitResult:
        del context
        asked.append(params.message)
        return ElicitResult(action="accept", content={"name": f"Ann {len(asked)}"})

    url = asking_url if era == "modern" else first_url
    async with (
        pair_on(url, interactive=era == "handshake") as pair,
        Client(pair.url, mode=mode, elicitation_callback=answer) as client,
    ):
        for number in (1, 2):  # the calls of a pair begin on different replicas
            result = await client.call_tool("greet", {"log": str(tmp_path / f"log{number}")})
            text = result.model_dump()["content"][0]["text"]
            assert text == f"hello Ann {number}"
            await client.list_tools()
        assert pair.both_served
        assert len(asked) == 2


async def test_a_reply_reaches_the_call_that_another_replica_holds(
    pair_on: OpenPair, first_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with pair_on(first_url, interactive=True) as pair:
        client = await opened_session(http, pair)
        arguments = {"log": str(tmp_path / "log")}
        async with client.call("greet", request_id=7, arguments=arguments) as response:
            stream = Stream(response)
            question = await stream.until("elicitation/create")
            message = {"jsonrpc": "2.0", "id": question["id"], "result": ANN}
            reply = await http.post(pair.url, json=message, headers=client.headers)
            assert reply.status_code == 202
            answer = await stream.answer()
        assert answer["result"]["content"][0]["text"] == "hello Ann"
        (_, holding), (_, replied) = pair.proxy.served[-2:]
        assert holding != replied


# --- cancelling, and the end of a session


async def test_a_cancel_reaches_the_call_that_another_replica_holds(
    pair_on: OpenPair, backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient
) -> None:
    async with pair_on(backend_url) as pair:
        client = await opened_session(http, pair)
        async with client.call("wait", request_id=7) as response:
            await backend.waiting.wait()
            said = await client.post("notifications/cancelled", {"requestId": 7})
            assert said.status_code == 202
            answer = await Stream(response).answer()
        assert answer["error"]["message"] == "Request cancelled"
        (_, holding), (_, cancelled) = pair.proxy.served[-2:]
        assert holding != cancelled
        await pair.one.until_state(JobState.CANCELLED)
        await until(lambda: any(each.is_set() for each in backend.cancelled.values()))


async def test_the_end_of_a_session_ends_the_call_that_another_replica_holds(
    pair_on: OpenPair, backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient
) -> None:
    async with pair_on(backend_url) as pair:
        client = await opened_session(http, pair)
        async with client.call("wait", request_id=7):
            await backend.waiting.wait()
            assert (await client.delete()).status_code == 200
            await pair.one.until_state(JobState.CANCELLED)
        for _ in (pair.one, pair.two):
            assert (await client.post("ping", id=8)).status_code == 404


async def test_who_leaves_a_call_comes_back_to_it_on_the_other(
    pair_on: OpenPair, backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient
) -> None:
    async with pair_on(backend_url) as pair:
        client = TaskClient(http, pair.url, declared={})
        call = asyncio.create_task(client.call("wait"))
        await backend.waiting.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await until_answered(lambda: abandoned(pair))
        again = asyncio.create_task(client.call("wait"))
        await until_answered(lambda: come_back(pair))
        backend.released.set()
        assert (await again)["content"] == [{"type": "text", "text": "done"}]
        (_, first), (_, second) = pair.proxy.served
        assert first != second


async def abandoned(pair: Pair) -> bool:
    return (await pair.one.only_job()).cancel_at > 0


async def come_back(pair: Pair) -> bool:
    return (await pair.one.only_job()).cancel_at == 0


# --- news, and tasks


async def test_a_changed_list_is_told_by_whoever_holds_the_stream(
    pair_on: OpenPair, backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient
) -> None:
    changed = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}
    async with pair_on(backend_url) as pair, AsyncExitStack() as stack:
        streams = []
        clients = [await opened_session(http, pair) for _ in (pair.one, pair.two)]
        for client in clients:
            response = http.stream("GET", pair.url, headers=client.headers)
            streams.append(Stream(await stack.enter_async_context(response)))
        (_, first), (_, second) = [each for each in pair.proxy.served if each[0] == "GET"]
        assert first != second
        backend.tools.append({"name": "new", "inputSchema": {"type": "object"}})
        backend.announcements.put_nowait({"method": "notifications/tools/list_changed"})
        for stream in streams:
            assert await stream.next() == changed
        for client in clients:
            listed = await legacy_request(client, "tools/list")
            assert "new" in {tool["name"] for tool in listed["result"]["tools"]}


async def test_a_task_is_followed_answered_and_listed_on_any(
    pair_on: OpenPair, asking_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    declared: dict[str, Any] = {"elicitation": {}, "extensions": {EXTENSION: {}}}
    async with pair_on(asking_url) as pair:
        client = TaskClient(http, pair.url, declared=declared)
        task = (await client.call("greet", {"log": str(tmp_path / "log")}))["taskId"]
        (key,) = (await client.until(task, "input_required"))["inputRequests"]
        assert key in (await client.get(task))["inputRequests"]  # on the other, too
        await client.request("tasks/update", taskId=task, inputResponses={key: ANN})
        assert "inputRequests" not in await client.get(task)
        done = await client.until(task)
        assert done["result"]["content"][0]["text"] == "hello Ann"
        assert await client.get(task) == done
        assert pair.both_served


async def test_a_legacy_task_is_awaited_on_one_and_cancelled_on_the_other(
    pair_on: OpenPair, backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient
) -> None:
    async with pair_on(backend_url) as pair:
        client = await opened_session(http, pair)
        created = await legacy_request(client, "tools/call", name="wait", arguments={}, task={})
        task = created["result"]["task"]["taskId"]
        await backend.waiting.wait()
        async with client.stream("tasks/result", {"taskId": task}, id=9) as response:
            cancelled = await legacy_request(client, "tasks/cancel", taskId=task)
            assert cancelled["result"]["status"] == "cancelled"
            answer = await Stream(response).answer()
        assert "error" in answer
        (_, waiting), (_, cancelling) = pair.proxy.served[-2:]
        assert waiting != cancelling
