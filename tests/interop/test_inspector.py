"""The MCP Inspector's command line, a process for every request, in both protocol eras."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.interop.world import World
from tests.support.peers import node, npm_bin
from tests.support.waiting import wait_for

LONG = "stdio__trigger-long-running-operation"
Inspect = Callable[..., subprocess.Popen[str]]


@pytest.fixture(params=["legacy", "modern"])
def era(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def inspect(world: World, era: str) -> Iterator[Inspect]:
    """Start it, with headers of its own if need be; none outlives its test."""
    command = [str(node()), str(npm_bin("mcp-inspector")), "--cli", world.mcp]
    command += ["--transport", "http", "--protocol-era", era, "--format", "json"]
    command += ["--header", f"X-API-Key: {world.key(f'inspector-{era}')}"]

    def start(
        method: str, tool: str | None = None, header: str | None = None, **arguments: Any
    ) -> subprocess.Popen[str]:
        more = ["--tool-name", tool, "--tool-args-json", json.dumps(arguments)] if tool else []
        more += ["--header", header] if header else []
        process = subprocess.Popen(
            [*command, "--method", method, *more],
            env={**os.environ, "HOME": str(world.folder)},  # it keeps a catalogue there
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.enter_context(process)  # waits for it
        started.callback(process.kill)
        return process

    with ExitStack() as started:
        yield start


def said(process: subprocess.Popen[str]) -> tuple[int, Any]:
    """What it ended with: its exit code, and the result or, without one, what it says is wrong."""
    out, err = process.communicate(timeout=60)
    if out:
        return process.returncode, json.loads(out)["result"]
    return process.returncode, json.loads(err.strip().splitlines()[-1])["error"]


def test_it_lists_and_calls(inspect: Inspect) -> None:
    code, listed = said(inspect("tools/list"))
    assert code == 0
    assert {"stdio__echo", "git__git_status"} <= {tool["name"] for tool in listed["tools"]}
    code, result = said(inspect("tools/call", "sse__echo", message="hello"))
    assert (code, result["content"]) == (0, [{"type": "text", "text": "Echo: hello"}])


def test_it_waits_for_a_slow_tool(inspect: Inspect) -> None:
    code, result = said(inspect("tools/call", LONG, duration=2, steps=4))
    assert code == 0
    assert "completed" in result["content"][0]["text"]


def test_it_takes_structured_content(inspect: Inspect) -> None:
    tool = "http__get-structured-content"
    code, result = said(inspect("tools/call", tool, location="Chicago"))
    assert code == 0
    assert result["structuredContent"]["temperature"] == 36


def test_it_tells_errors_apart(inspect: Inspect) -> None:
    code, result = said(inspect("tools/call", "files__read_text_file", path="/nowhere"))
    assert (code, result["isError"]) == (5, True)
    assert "Access denied" in result["content"][0]["text"]
    code, error = said(inspect("tools/call", "stdio__nothing"))
    assert (code, error["code"]) == (5, "tool_not_found")


def running(world: World) -> str:
    """The job of the call that it has just made, once it runs."""
    found = wait_for(
        lambda: world.jobs_of("inspector-modern", tool=LONG, state="running"),
        seconds=20,
        every=0.2,
    )
    return str(found[0]["id"])


def leave(inspector: subprocess.Popen[str]) -> None:
    inspector.send_signal(signal.SIGINT)
    inspector.communicate(timeout=20)


@pytest.mark.parametrize("era", ["modern"], indirect=True)
def test_a_call_that_it_leaves_is_cancelled(inspect: Inspect, world: World) -> None:
    """In the older era a lost connection cancels nothing."""
    held = "x-longhaul-wait: forever"  # else it is a task after a second
    leaving = inspect("tools/call", LONG, header=held, duration=60, steps=240)
    job = running(world)
    leave(leaving)
    wait_for(lambda: world.rest(f"/v1/jobs/{job}")["state"] == "cancelled", every=0.2)


@pytest.mark.parametrize("era", ["modern"], indirect=True)
def test_a_task_that_it_leaves_goes_on(inspect: Inspect, world: World) -> None:
    leaving = inspect("tools/call", LONG, duration=8, steps=8)
    job = running(world)
    shown = f"/v1/jobs/{job}"
    # Past the second after which its call is a task.
    wait_for(lambda: (world.rest(shown)["progress"] or {}).get("value", 0) >= 3, every=0.2)
    leave(leaving)
    wait_for(lambda: world.rest(shown)["state"] == "completed", seconds=30, every=0.2)
