"""A change of the catalogue reaches clients of both eras, and lists follow it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from common.config.model import ToolRule
from tests.support.routers import (
    LegacyClient,
    Router,
    last_message,
    modern_call,
    offer,
    router,
    tool,
)
from tests.support.streams import Stream
from tests.support.waiting import until

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


async def test_other_rules_are_told_when_lists_differ_by_them(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    legacy = LegacyClient(http, longhaul.url)
    await legacy.initialize()
    await offer(longhaul, tool("one"))
    await longhaul.until_listed("one")
    assert await supports(legacy) == {"one": "optional"}
    async with http.stream("GET", longhaul.url, headers=legacy.headers) as response:
        stream = Stream(response)
        for task, told in [("never", "forbidden"), ("required", "required")]:
            ruled(longhaul, task=task)
            assert (await stream.next())["method"] == CHANGED
            assert await supports(legacy) == {"one": told}
        with capture_logs() as said:
            ruled(longhaul, task="required", priority=8)  # nobody sees a difference
            seen = longhaul.ingress.feed.current
            await until(lambda: longhaul.ingress.feed.current is not seen)
        assert not [each for each in said if each["event"] == "catalogue.changed"]


def ruled(longhaul: Router, **rule: Any) -> None:
    settings = longhaul.runtime.settings
    tools = {"tools": {"*one": ToolRule.model_validate(rule)}}
    longhaul.ingress.adopt(settings.model_copy(update=tools))


async def supports(legacy: LegacyClient) -> dict[str, str]:
    """By tool, of those that are not our own."""
    listed = last_message((await legacy.post("tools/list", id=1)).text)["result"]["tools"]
    shown = {each["name"]: each.get("execution", {}).get("taskSupport", "") for each in listed}
    return {name: support for name, support in shown.items() if not name.startswith("longhaul_")}


async def test_a_legacy_stream_that_opens_while_streams_are_ended(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    legacy = LegacyClient(http, longhaul.url)
    await legacy.initialize()
    longhaul.endpoint.end_streams()
    async with http.stream("GET", longhaul.url, headers=legacy.headers) as response:
        with pytest.raises(StopAsyncIteration):
            await Stream(response).next()
