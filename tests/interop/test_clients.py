"""What every client does, whatever library and protocol era it is of."""

from typing import Any

import httpx2
import pytest

from tests.interop.driven import Driven
from tests.interop.world import OVER, World
from tests.support.routers import LegacyClient, last_message
from tests.support.waiting import wait_for

LONG = "stdio__trigger-long-running-operation"


def test_it_speaks_the_newest_protocol_that_it_may(client: Driven) -> None:
    modern = client.name == "fastmcp" or client.name.endswith("-auto")
    assert client.version == ("2026-07-28" if modern else "2025-11-25")


def test_lists_the_tools_of_all_servers(client: Driven) -> None:
    tools = client.tools()
    for name in ("stdio__echo", "http__echo", "sse__echo", "git__git_status"):
        assert name in tools
    assert len(tools) == len(set(tools))


def test_a_quick_call_is_answered(client: Driven) -> None:
    result = client.result("stdio__echo", message="hello")
    assert result["content"] == [{"type": "text", "text": "Echo: hello"}]
    assert not result.get("isError", False)


def test_a_slow_call_shows_its_progress(client: Driven) -> None:
    outcome = client.call(LONG, progress=True, duration=2, steps=8)
    assert "completed" in outcome["result"]["content"][0]["text"]
    shown = outcome["progress"]
    assert shown == sorted(set(shown))
    assert len(shown) >= 2
    if client.name != "fastmcp":  # to which this is a task after a second: it polls from there
        assert shown[-1] == 8


def test_an_error_of_the_tool_is_a_result(client: Driven) -> None:
    result = client.result("files__read_text_file", path="/nowhere")
    assert result["isError"] is True
    assert "Access denied" in result["content"][0]["text"]


def test_an_error_of_the_protocol_has_its_code(client: Driven) -> None:
    assert client.call("stdio__nothing")["error"]["code"] == -32602


def test_what_it_cancels_is_cancelled(client: Driven, world: World) -> None:
    assert client.cancel(LONG, duration=60, steps=240)["cancelled"]
    wait_for(lambda: world.jobs_of(client.name, tool=LONG, state="cancelled"), every=0.2)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get-tiny-image", {}),
        ("get-resource-links", {"count": 4}),
        ("get-structured-content", {"location": "Chicago"}),
    ],
)
async def test_results_arrive_as_the_server_made_them(
    client: Driven, world: World, tool: str, arguments: dict[str, Any]
) -> None:
    async with httpx2.AsyncClient(timeout=60) as http:
        direct = LegacyClient(http, world.direct)
        await direct.initialize()
        answer = await direct.post("tools/call", {"name": tool, "arguments": arguments}, id=1)
    made = last_message(answer.text)["result"]
    for transport in OVER:
        result = client.result(f"{transport}__{tool}", **arguments)
        assert {key: result[key] for key in made} == made
