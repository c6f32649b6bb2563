"""The bridge as a process in front of a router in this one: headers, names, and news."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from common.catalogue import catalogue_entry
from tests.support.bridged import RawBridge, raw_bridge
from tests.support.desk import Desk
from tests.support.surfaces import Surface, surface
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

both_eras = pytest.mark.parametrize("modern", [True, False], ids=["modern", "legacy"])
CHANGED = "notifications/tools/list_changed"
HALF = "\ud83d"
NO_WAIT = {"longhaul/wait": 0}


def export(header: str, name: str = "export") -> dict[str, Any]:
    region = {"type": "string", "x-mcp-header": header}
    return {"name": name, "inputSchema": {"type": "object", "properties": {"region": region}}}


async def offer(place: Surface, *tools: dict[str, Any], at: int) -> None:
    entry = catalogue_entry(backend="b", started_at=at, trusted=False, listing={"tools": tools})
    await place.runtime.store.put_catalogue(entry)
    catalogue = place.ingress.feed
    await until(
        lambda: [each.definition for each in catalogue.current.tools.values()] == list(tools)
    )


@asynccontextmanager
async def bridge_to(place: Surface, folder: Path, *, modern: bool) -> AsyncIterator[RawBridge]:
    variables = Desk(folder).environment | {"LONGHAUL_URL": str(place.http.base_url)}
    async with raw_bridge(folder, variables, modern=modern) as bridge:
        yield bridge


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Surface]:
    async with surface(tmp_path) as found:
        yield found


async def called(bridge: RawBridge, request: int, name: str, **arguments: Any) -> str:
    answer = await bridge.ask(request, "tools/call", name=name, arguments=arguments, _meta=NO_WAIT)
    assert "result" in answer, answer
    return str(answer["result"]["content"][0]["text"])


async def test_arguments_are_mirrored_in_headers_as_the_schema_says(
    place: Surface, tmp_path: Path
) -> None:
    """The router refuses a call without them, or with others."""
    await offer(place, export("Region"), at=2)
    async with bridge_to(place, tmp_path, modern=True) as bridge:
        assert "Still running" in await called(bridge, 1, "b__export", region="eu-größe\n")
        await offer(place, export("Area"), at=3)
        assert "Still running" in await called(bridge, 2, "b__export", region="eu")
        await bridge.ask(3, "tools/list")
        assert "Still running" in await called(bridge, 4, "b__export", region="eu")


async def test_names_travel_in_any_script(place: Surface, tmp_path: Path) -> None:
    await offer(place, export("Region", name="größe"), at=2)
    async with bridge_to(place, tmp_path, modern=True) as bridge:
        assert "Still running" in await called(bridge, 1, "b__größe")


@both_eras
async def test_half_of_an_emoji_is_refused_by_the_requests_id(
    place: Surface, tmp_path: Path, modern: bool
) -> None:
    """Clients that cut texts leave it; one that is not answered by the id waits for ever."""
    await offer(place, export("Region"), at=2)
    async with bridge_to(place, tmp_path, modern=modern) as bridge:
        answer = await bridge.ask(1, "tools/call", name="b__export", arguments={"more": HALF})
        assert answer["error"]["code"] == (-32602 if modern else -32700)
    assert (await place.http.get("/v1/jobs")).json()["jobs"] == []


@both_eras
async def test_news_of_the_list_reaches_the_client(
    place: Surface, tmp_path: Path, modern: bool
) -> None:
    async with bridge_to(place, tmp_path, modern=modern) as bridge:
        if modern:
            wanted = {"toolsListChanged": True}
            await bridge.send(bridge.request(1, "subscriptions/listen", notifications=wanted))
            assert (await bridge.read())["method"] == "notifications/subscriptions/acknowledged"
        assert (await first_news(bridge, place))["method"] == CHANGED


async def first_news(bridge: RawBridge, place: Surface) -> dict[str, Any]:
    """A change is made again until it is heard of: when a legacy stream stands, nobody is told."""
    reading = asyncio.create_task(bridge.read())
    for at in range(2, 1_000):
        if reading.done():
            break
        await offer(place, export(f"Region{at}"), at=at)
    return await reading


async def test_a_cancelled_listener_hears_no_more(place: Surface, tmp_path: Path) -> None:
    async with bridge_to(place, tmp_path, modern=True) as bridge:
        wanted = {"toolsListChanged": True}
        await bridge.send(bridge.request(1, "subscriptions/listen", notifications=wanted))
        await bridge.read()
        params = {"requestId": 1}
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
        await bridge.send(cancel)
        await bridge.ask(2, "tools/list")  # lines are read in order
        await offer(place, export("Area"), at=3)
        await bridge.send(bridge.request(3, "tools/list"))
        assert (await bridge.read())["id"] == 3


async def test_an_address_that_is_no_router_is_said_so(place: Surface, tmp_path: Path) -> None:
    url = f"{place.http.base_url}/elsewhere"
    ran = await asyncio.to_thread(Desk(tmp_path).run_process, "stdio", LONGHAUL_URL=url)
    assert ran.code == 2
    assert "is no Longhaul router" in ran.err
