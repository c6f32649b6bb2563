"""Retries through the lanes: which faults count, what a backend asks for, and the budget."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from common.config.model import Backend, Clocks, Retry, RetryBudget, ToolRule
from common.errors import OVERLOADED, TIMED_OUT, TOOL_FAILED
from common.jobs.state import JobState
from ingress.api.job_view import situation_of
from ingress.operations.explain import waiting_because
from tests.support.backends.serving import RawServer, raw_server
from tests.support.logbook import lines
from tests.support.system import OpenSystem, System, gated
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


def again(**more: Any) -> dict[str, ToolRule]:
    given = {"attempts": 2, "first": 0.0, "max": 0.0} | more
    return {"b__*": ToolRule(retry=Retry(**given), repeatable=True)}


async def test_a_tools_own_error_is_tried_again_where_that_is_said(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with system_on(tools=again(on_tool_error=True)) as system, system.worker():
        job = await system.submit(log=str(log), then="tool error")
        head = await system.ended(job)
        assert (head.state, head.tries) == (JobState.DEAD, 2)
        error = await system.result(job)
        assert (error["code"], error["data"]["result"]["isError"]) == (TOOL_FAILED, True)
    assert lines(log).count("started") == 2


async def test_a_tools_own_error_is_a_result_otherwise(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with system_on(tools=again()) as system, system.worker():
        head = await system.ended(await system.submit(log=str(log), then="tool error"))
        assert (head.state, head.tool_error, head.tries) == (JobState.COMPLETED, True, 1)


async def test_a_time_out_is_a_try(system_on: OpenSystem, tmp_path: Path) -> None:
    rule = ToolRule(
        retry=Retry(attempts=2, first=0.0, max=0.0), repeatable=True, timeout=Clocks(run=0.3)
    )
    async with system_on(tools={"b__*": rule}) as system, system.worker():
        gate = str(tmp_path / "never")
        job = await system.submit(log=str(tmp_path / "log"), gate=gate)
        head = await system.ended(job)
        assert (head.state, head.tries) == (JobState.DEAD, 2)
        assert (await system.result(job))["code"] == TIMED_OUT


async def test_a_backend_that_asks_to_wait_is_waited_for(system_on: OpenSystem) -> None:
    """By an error's `retryAfterMs`; only for a tool that may run again."""
    busy = {"code": -32_000, "message": "busy", "data": {"retryAfterMs": 30_000}}
    raw = json.dumps({"jsonrpc": "2.0", "id": 0, "error": busy}).replace('"id": 0', '"id": ID')
    async with system_on(tools=again()) as system, system.worker():
        job = await system.submit("b__say", raw=raw)
        head = await system.in_state(job, JobState.WAITING)
        event = (await system.store.events(job))[-1]
        assert 30_000 <= head.not_before - event.at < 30_100
        assert event.facts["error"]["data"] == {"retryAfterMs": 30_000}
    async with system_on() as system, system.worker():
        job = await system.submit("b__say", raw=raw)
        assert (await system.ended(job)).state is JobState.FAILED


async def test_what_a_busy_server_refused_is_tried_again_whatever_the_tool(
    system_on: OpenSystem,
) -> None:
    """HTTP 429: it ran nothing. After what it asks for, and as often as other tries."""
    refused: list[bytes] = []

    def handle(server: RawServer, connection: socket.socket) -> None:
        while body := server.read(connection):
            if b"tools/call" in body and len(refused) < 1:
                refused.append(body)
                connection.sendall(TOO_MANY)
            else:
                connection.sendall(answered(body))

    with raw_server(handle) as server:
        config = Backend(name="b", transport="http", urls=(server.url,))
        rule = ToolRule(retry=Retry(attempts=2, first=0.0, max=0.0))
        async with system_on(config, tools={"b__*": rule}) as system, system.worker():
            head = await system.ended(await system.submit("b__work"))
            assert (head.state, head.tries) == (JobState.COMPLETED, 2)
            retried = next(
                event for event in await system.store.events(head.id) if event.name == "retried"
            )
            assert retried.facts["delay_ms"] == 1_000
            assert retried.facts["error"]["code"] == OVERLOADED
            refused.clear()
            refused_again = await system.submit("b__work")
            await until(lambda: refused != [])
            refused.clear()
            assert (await system.ended(refused_again)).state is JobState.DEAD
        assert sum(b"tools/call" in body for body in server.requests) == 4


TOO_MANY = b"HTTP/1.1 429 Too Many\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"


def answered(body: bytes) -> bytes:
    """A whole HTTP answer of a legacy server without sessions, with one tool."""
    message = json.loads(body)
    results = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}},
        "tools/list": {"tools": [{"name": "work", "inputSchema": {"type": "object"}}]},
        "tools/call": {"content": []},
    }
    if "id" not in message or message["method"] not in results:
        status = "202 Accepted" if "id" not in message else "405 Method Not Allowed"
        return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    result = {"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}
    content = json.dumps(result).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    return f"{head}\r\n\r\n".encode() + content


async def test_over_its_budget_a_backends_retries_wait_and_are_not_lost(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    poor = gated(retry_budget=RetryBudget(share=0.0, floor=1), concurrency=1)
    async with system_on(poor, tools=again(on_tool_error=True)) as system:
        async with system.worker():
            first = await system.submit(log=str(log), then="tool error")
            assert (await system.ended(first)).state is JobState.DEAD
            second = await system.submit(log=str(log), then="tool error")
            head = await system.in_state(second, JobState.WAITING)
            assert head.not_before - await system.store.now() > 30_000
            assert "backend b has had its share of retries" in await why(system, second)
            budget = system.runtime.metrics.retries_over_budget
            assert budget.labels(backend="b")._value.get() == 1
            # What is no retry is not held back.
            good = await system.submit(log=str(log))
            assert (await system.ended(good)).state is JobState.COMPLETED
        await system.cancel(second)


async def why(system: System, job: str) -> str:
    head = await system.head(job)
    return waiting_because(head, await situation_of(system.ingress, head)) or ""
