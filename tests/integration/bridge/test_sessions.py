"""The bridge's handshake-era session, against a server that forgets, asks, and breaks off."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.support.backends.legacy_http import LegacyHttp
from tests.support.backends.serving import served
from tests.support.bridged import RawBridge, raw_bridge
from tests.support.desk import Desk
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

CHANGED = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}


@pytest.fixture
def server() -> LegacyHttp:
    return LegacyHttp()


@asynccontextmanager
async def bridge_to(server: LegacyHttp, folder: Path) -> AsyncIterator[RawBridge]:
    """The server as a router looks from outside."""

    async def tools(request: Request) -> JSONResponse:
        del request
        return JSONResponse({"tools": []})

    app = Starlette(routes=[*server.app().routes, Route("/v1/tools", tools)])
    async with served(app) as url:
        variables = Desk(folder).environment | {"LONGHAUL_URL": url}
        async with raw_bridge(folder, variables, modern=False) as bridge:
            yield bridge


def times(server: LegacyHttp, method: str) -> int:
    return sum(asked == method for asked, _ in server.asked)


async def test_a_forgotten_session_is_opened_again_once_and_nothing_is_lost(
    server: LegacyHttp, tmp_path: Path
) -> None:
    async with bridge_to(server, tmp_path) as bridge:
        await until(lambda: server.hearing == 1)
        server.sessions[:] = ["somebody-elses"]
        for number in range(1, 21):
            call = bridge.request(number, "tools/call", name="echo", arguments={"n": number})
            await bridge.send(call)
        heard = [await bridge.read() for _ in range(21)]
        answers = {each["id"]: each["result"] for each in heard if "id" in each}
        assert [answers[n]["got"]["arguments"]["n"] for n in range(1, 21)] == list(range(1, 21))
        assert [each for each in heard if "id" not in each] == [CHANGED]
        assert times(server, "initialize") == 2
        assert times(server, "notifications/initialized") == 2
        await until(lambda: server.asked[-1][1]["mcp-session-id"] == server.sessions[-1])


async def test_the_log_level_is_asked_for_again(server: LegacyHttp, tmp_path: Path) -> None:
    async with bridge_to(server, tmp_path) as bridge:
        server.tools = []
        await bridge.send(bridge.request(1, "logging/setLevel", level="info", name="echo"))
        assert (await bridge.read())["id"] == 1
        server.sessions[:] = ["somebody-elses"]
        await bridge.send(bridge.request(2, "tools/list"))
        assert {(await bridge.read()).get("id") for _ in range(2)} == {None, 2}
        assert times(server, "logging/setLevel") == 2


async def test_the_server_asks_and_the_client_answers(server: LegacyHttp, tmp_path: Path) -> None:
    async with bridge_to(server, tmp_path) as bridge:
        await bridge.send(bridge.request(1, "tools/call", name="ask"))
        assert await bridge.read() == {"jsonrpc": "2.0", "id": "q", "method": "ping"}
        reply = {"jsonrpc": "2.0", "id": "q", "result": {"pong": True}}
        await bridge.send(reply)
        assert (await bridge.read())["result"]["answer"] == reply


async def test_what_is_said_unasked_reaches_the_client(server: LegacyHttp, tmp_path: Path) -> None:
    async with bridge_to(server, tmp_path) as bridge:
        server.announcements.put_nowait({"method": "notifications/tools/list_changed"})
        assert await bridge.read() == CHANGED


async def test_a_call_whose_stream_breaks_off_is_not_repeated(
    server: LegacyHttp, tmp_path: Path
) -> None:
    async with bridge_to(server, tmp_path) as bridge:
        answer = await bridge.ask(1, "tools/call", name="vanish")
        assert "longhaul jobs ls" in answer["error"]["message"]
        assert answer["error"]["data"] == {"retryable": False}
        assert times(server, "tools/call") == 1
        assert "result" in await bridge.ask(2, "tools/list")


async def test_a_cancelled_request_is_not_answered(server: LegacyHttp, tmp_path: Path) -> None:
    async with bridge_to(server, tmp_path) as bridge:
        await bridge.send(bridge.request(1, "tools/call", name="wait"))
        await server.waiting.wait()
        params = {"requestId": 1}
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
        await bridge.send(cancel)
        await bridge.ask(2, "tools/list")  # lines are read in order
        server.released.set()
        assert (await bridge.ask(3, "tools/list"))["id"] == 3


async def test_the_session_is_left_to_expire(server: LegacyHttp, tmp_path: Path) -> None:
    """To end it would cancel what it runs."""
    async with bridge_to(server, tmp_path) as bridge:
        await bridge.send(bridge.request(1, "tools/call", name="wait"))
        await server.waiting.wait()
        assert await bridge.close() == 0
        await until(lambda: server.hearing == 0)
    assert server.ended == []
