"""`longhaul stdio` as desktop clients use it: official clients, real processes, nothing shared."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError
from mcp_types import CallToolResult, TextContent

from tests.support.bridged import BridgedDesk, Seat, raw_bridge
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

both_modes = pytest.mark.parametrize("mode", ["auto", "legacy"])
both_eras = pytest.mark.parametrize("modern", [True, False], ids=["modern", "legacy"])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[BridgedDesk]:
    """Nobody has been here: no router runs, no data folder is there."""
    desk = BridgedDesk(tmp_path)
    with desk.left_alone():
        yield desk


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgedDesk]:
    """A person has started a router here."""
    desk = BridgedDesk(tmp_path_factory.mktemp("desk"))
    with desk.router():
        yield desk


def text_of(result: CallToolResult) -> str:
    content = result.content[0]
    assert isinstance(content, TextContent)
    return content.text


def calling(seat: Seat, desk: BridgedDesk, **more: Any) -> asyncio.Task[CallToolResult]:
    return asyncio.create_task(seat.client.call_tool("b__work", desk.arguments(**more)))


@both_modes
async def test_a_client_on_a_fresh_folder_lists_calls_and_hears_progress(
    desk: BridgedDesk, mode: str
) -> None:
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        del total, message
        heard.append(progress)

    async with desk.seat(mode) as seat:
        tools = await seat.client.list_tools()
        assert {"b__work", "b__safe", "b__say", "b__hear"} <= {each.name for each in tools.tools}
        result = await seat.client.call_tool(
            "b__work", desk.arguments(steps=3), progress_callback=hear
        )
        assert text_of(result) == "run 1"
        await until(lambda: heard and heard[-1] == 3)
    assert (await desk.until_state("completed"))["tool"] == "b__work"


@both_modes
async def test_a_cancel_reaches_the_backend(desk: BridgedDesk, mode: str) -> None:
    async with desk.seat(mode) as seat:
        call = calling(seat, desk, gate="never", label="it")
        await until(lambda: desk.noted("it started"))
        call.cancel()
        await until(lambda: desk.noted("it cancelled"))
        job = await desk.until_state("cancelled")
        assert "cancelled by the client" in job["reason"]  # the tool may not have let go yet
        assert text_of(await seat.client.call_tool("b__work", desk.arguments())) != ""


@both_modes
async def test_of_two_clients_one_is_killed_in_mid_job(desk: BridgedDesk, mode: str) -> None:
    """They start at once on a fresh folder: one router serves both."""
    async with two_seats(desk, mode) as (one, two):
        first = calling(one, desk, gate="one", label="one")
        other = calling(two, desk, gate="two", label="two")
        await until(lambda: desk.noted("one started") and desk.noted("two started"))
        os.kill(one.pid, signal.SIGKILL)
        with pytest.raises(MCPError):
            await first
        desk.gate("two").touch()
        assert text_of(await other).startswith("run")
        assert sorted(job["state"] for job in desk.jobs()) == ["completed", "running"]
        desk.gate("one").touch()
        await until(lambda: [job["state"] for job in desk.jobs()] == ["completed"] * 2)
    found = [each["address"] for seat in (one, two) for each in seat.events("bridge.router_found")]
    assert len(found) == 2
    assert len(set(found)) == 1


@asynccontextmanager
async def two_seats(desk: BridgedDesk, mode: str) -> AsyncIterator[tuple[Seat, Seat]]:
    """Two clients that come at the same moment."""
    taken: dict[str, Seat] = {}
    leave = asyncio.Event()

    async def visit(name: str) -> None:
        async with desk.seat(mode, name) as seat:
            taken[name] = seat
            await leave.wait()

    async with asyncio.TaskGroup() as group:
        for name in ("one", "two"):
            group.create_task(visit(name))
        try:
            await until(lambda: len(taken) == 2, seconds=60)
            yield taken["one"], taken["two"]
        finally:
            leave.set()


@both_eras
async def test_the_end_of_input_leaves_the_job_running(desk: BridgedDesk, modern: bool) -> None:
    async with raw_bridge(desk.folder, desk.variables, modern=modern) as bridge:
        await bridge.call(1, desk.arguments(gate="later", label="it"))
        await until(lambda: desk.noted("it started"), seconds=30)
        assert await bridge.close() == 0
    await desk.until_state("running")
    desk.gate("later").touch()
    await desk.until_state("completed")


@both_eras
async def test_nobody_comes_back_and_the_job_is_cancelled(tmp_path: Path, modern: bool) -> None:
    """Not by the row of the closed stream: that one would take longer here."""
    desk = BridgedDesk(tmp_path, answering={"orphan_ttl": "200ms", "abandon_after": "1h"})
    with desk.left_alone():
        async with raw_bridge(desk.folder, desk.variables, modern=modern) as bridge:
            await bridge.call(1, desk.arguments(gate="never", label="it"))
            await until(lambda: desk.noted("it started"), seconds=30)
            bridge.process.kill()
        await until(lambda: desk.noted("it cancelled"))
        job = await desk.until_state("cancelled")
        assert "nobody waited for it any more" in job["reason"]


@both_modes
async def test_a_router_that_was_killed_is_replaced(desk: BridgedDesk, mode: str) -> None:
    async with desk.seat(mode) as seat:
        call = calling(seat, desk, gate="never", label="it")
        await until(lambda: desk.noted("it started"))
        os.kill(desk.router_pid(), signal.SIGKILL)
        with pytest.raises(MCPError, match="longhaul jobs ls"):
            await call
        assert text_of(await seat.client.call_tool("b__work", desk.arguments())).startswith("run")
        assert len(seat.events("bridge.router_started")) == 2
        # The session is in the store, so the new router knows it.
        assert not seat.events("bridge.session_renewed")


@both_modes
async def test_a_router_that_was_stopped_hands_its_calls_off(tmp_path: Path, mode: str) -> None:
    """Its job may run again: it does, on the next router."""
    desk = BridgedDesk(tmp_path, drain="1s", tools={"b__work": {"repeatable": True}})
    with desk.left_alone():
        async with desk.seat(mode) as seat:
            call = calling(seat, desk, gate="later", label="it")
            await until(lambda: desk.noted("it started"))
            stopped, (job,) = desk.router_pid(), [each["id"] for each in desk.jobs()]
            os.kill(stopped, signal.SIGTERM)
            assert f"longhaul jobs wait {job}" in text_of(await call)
            desk.gate("later").touch()
            assert text_of(await calling(seat, desk, label="again")).startswith("run")
            assert desk.router_pid() != stopped
            await until(lambda: desk.noted("it finished"), seconds=30)


@both_modes
async def test_a_router_that_is_stopped_answers_first(desk: BridgedDesk, mode: str) -> None:
    async with desk.seat(mode) as seat:
        call = calling(seat, desk, gate="later", label="it")
        await until(lambda: desk.noted("it started"))
        os.kill(desk.router_pid(), signal.SIGTERM)
        await until(lambda: desk.router_said("ingress.drains"))
        second = calling(seat, desk, label="second")
        desk.gate("later").touch()
        assert [text_of(await each)[:3] for each in (call, second)] == ["run", "run"]
        assert len(seat.events("bridge.router_started")) == 2


async def test_a_router_that_nobody_needs_ends(desk: BridgedDesk) -> None:
    """Neither while a client is there, however quiet, nor before the job that it left behind."""
    async with raw_bridge(desk.folder, desk.variables, "--idle-exit", "300ms") as bridge:
        await bridge.ask(1, "tools/list")
        quiet_since = time.monotonic()
        await until(lambda: time.monotonic() > quiet_since + 1.0)
        assert desk.router_runs()
        await bridge.call(2, desk.arguments(gate="later", label="it"))
        await until(lambda: desk.noted("it started"), seconds=30)
        assert await bridge.close() == 0
    assert desk.router_runs()
    desk.gate("later").touch()
    await until(lambda: not desk.router_runs())
    assert desk.noted("it finished")
    assert '"router.idle"' in (desk.data / "router.log").read_text()


async def test_a_port_that_is_taken_is_no_hindrance(desk: BridgedDesk) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        variables = desk.variables | {"LONGHAUL_LISTEN__PORT": port}
        async with raw_bridge(desk.folder, variables) as bridge:
            assert "result" in await bridge.ask(1, "tools/list")


class TestWithARouter:
    """What needs no router of its own; stdin and stdout by hand."""

    @both_eras
    async def test_a_slow_answer_holds_up_nobody(self, served: BridgedDesk, modern: bool) -> None:
        async with raw_bridge(served.folder, served.variables, modern=modern) as bridge:
            gate = f"slow-{modern}"
            await bridge.call(1, served.arguments(gate=gate))
            for number in range(100, 150):
                await bridge.send(bridge.request(number, "tools/list"))
            answers = [await bridge.read() for _ in range(50)]
            assert {answer["id"] for answer in answers} == set(range(100, 150))
            served.gate(gate).touch()
            assert (await bridge.read())["id"] == 1

    async def test_lines_that_are_no_messages_are_answered(self, served: BridgedDesk) -> None:
        async with raw_bridge(served.folder, served.variables) as bridge:
            for line, code in (
                (b"{", -32700),
                (b"[]", -32600),
                (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600),
                (b'{"jsonrpc": "2.0"}', -32600),
            ):
                await bridge.send(line)
                answer = await bridge.read()
                assert (answer["id"], answer["error"]["code"]) == (None, code)
            assert "result" in await bridge.ask(1, "tools/list")

    @both_eras
    async def test_what_is_too_large_is_refused_and_the_rest_goes_on(
        self, served: BridgedDesk, modern: bool
    ) -> None:
        async with raw_bridge(served.folder, served.variables, modern=modern) as bridge:
            large = served.arguments(label="x" * 5_000_000)
            answer = await bridge.ask(1, "tools/call", name="b__work", arguments=large)
            assert "4194304 bytes" in answer["error"]["message"]
            fits = served.arguments(big=3_000_000)
            answer = await bridge.ask(2, "tools/call", name="b__work", arguments=fits)
            link = answer["result"]["content"][-1]
            assert link["type"] == "resource_link"
            answer = await bridge.ask(3, "resources/read", uri=link["uri"])
            whole = json.loads(answer["result"]["contents"][0]["text"])
            assert len(whole["content"][0]["text"]) == 3_000_000

    async def test_messages_pass_as_they_are(self, served: BridgedDesk) -> None:
        async with raw_bridge(served.folder, served.variables) as bridge:
            answer = await bridge.ask(
                1, "tools/call", name="b__work", arguments=served.arguments(then="refuse")
            )
            assert answer["error"]["data"] == {"until": None, "n": 2**70 + 1}

    async def test_a_legacy_request_before_initialize_is_refused(self, served: BridgedDesk) -> None:
        async with raw_bridge(served.folder, served.variables) as bridge:
            await bridge.send({"jsonrpc": "2.0", "id": 7, "method": "tools/list"})
            answer = await bridge.read()
            assert answer["id"] == 7
            assert "error" in answer
