"""A change of the catalogue reaches clients of both eras, and lists follow it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.routers import LegacyClient, Router, modern_call, offer, router, tool
from tests.support.streams import Stream

pytestmark = pytest.mark.anyio

CHANGED = "notifications/tools/list_changed"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


@pytest.fixture
async def longhaul(tmp_path: Path) -> AsyncIterator[Router]:
    async with router(tmp_path, "http://127.0.0.1:9/mcp", slots=0) as running:
        yield running


def listen(longhaul: Router, http: httpx2.AsyncClient, **wanted: Any) -> Any:
    request = modern_call("", method="subscriptions/listen", notifications=wanted)
    return http.stream("POST", longhaul.url, **request)


async def test_a_modern_client_that_listens(longhaul: Router, http: httpx2.AsyncClient) -> None:
    async with listen(longhaul, http, toolsListChanged=True, promptsListChanged=True) as response:
        stream = Stream(response)
        first = await stream.next()
        assert first["method"] == "notifications/subscriptions/acknowledged"
        assert first["params"]["notifications"] == {"toolsListChanged": True}
        await offer(longhaul, tool("one"))
        news = await stream.next()
        assert news["method"] == CHANGED
        assert news["params"]["_meta"] == {SUBSCRIPTION: 1}
        listed = await http.post(longhaul.url, **modern_call("", method="tools/list"))
        assert listed.json()["result"]["tools"][0]["name"] == "one"
        longhaul.endpoint.stop()
        last = await stream.next()
        assert last["result"]["resultType"] == "complete"


async def test_a_modern_client_that_did_not_ask(longhaul: Router, http: httpx2.AsyncClient) -> None:
    async with listen(longhaul, http, promptsListChanged=True) as response:
        stream = Stream(response)
        assert (await stream.next())["params"]["notifications"] == {}
        await offer(longhaul, tool("one"))
        longhaul.endpoint.stop()
        assert "result" in await stream.next()


async def test_a_legacy_client_with_an_open_stream(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    legacy = LegacyClient(http, longhaul.url)
    await legacy.initialize()
    async with http.stream("GET", longhaul.url, headers=legacy.headers) as response:
        stream = Stream(response)
        await offer(longhaul, tool("one"))
        assert await stream.next() == {"jsonrpc": "2.0", "method": CHANGED}
        await offer(longhaul, tool("one"), tool("two"))
        assert (await stream.next())["method"] == CHANGED
        longhaul.endpoint.stop()
        with pytest.raises(StopAsyncIteration):
            await stream.next()


async def test_a_legacy_stream_that_opens_while_streams_are_ended(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    legacy = LegacyClient(http, longhaul.url)
    await legacy.initialize()
    longhaul.endpoint.end_streams()
    async with http.stream("GET", longhaul.url, headers=legacy.headers) as response:
        with pytest.raises(StopAsyncIteration):
            await Stream(response).next()
