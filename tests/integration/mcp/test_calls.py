"""A call over MCP: official clients of both eras, and what is on the wire."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError

from common.jobs.state import JobState
from tests.support.backends.legacy_http import LegacyHttp
from tests.support.routers import (
    LEGACY,
    LegacyClient,
    Router,
    last_message,
    modern_call,
    router,
)
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

MODES = ["auto", "legacy", "2026-07-28"]
STRICT = {
    "type": "object",
    "properties": {"count": {"type": "integer", "maximum": 3}},
    "required": ["count"],
}


@pytest.fixture
def backend() -> LegacyHttp:
    server = LegacyHttp()
    server.tools.append({"name": "strict", "inputSchema": STRICT})
    return server


@pytest.mark.parametrize("mode", MODES)
async def test_an_official_client_lists_and_calls(longhaul: Router, mode: Any) -> None:
    async with Client(longhaul.url, mode=mode) as client:
        assert "steps" in [each.name for each in (await client.list_tools()).tools]
        result = await client.call_tool("steps", {"count": 2, "who": "me"})
        assert result.model_dump()["content"][0]["text"] == "done"
    job = await longhaul.only_job()
    assert (job.state, job.caller) == (JobState.COMPLETED, "local")


async def test_what_we_do_not_know_passes_verbatim(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    meta = {"acme/x": {"deep": None}, "longhaul/priority": 8, "traceparent": "00-1-2-01"}
    arguments = {"big": 2**70, "none": None, "nested": [{"é": 1.5}]}
    modern = (await http.post(longhaul.url, **modern_call("echo", arguments, meta=meta))).json()
    legacy = LegacyClient(http, longhaul.url)
    await legacy.initialize()
    params = {"name": "echo", "arguments": arguments, "_meta": meta}
    answer = last_message((await legacy.post("tools/call", params, id="a")).text)
    assert (modern["id"], answer["id"]) == (1, "a")
    for result in (modern["result"], answer["result"]):
        assert result["content"] == [{"type": "hologram"}]
        assert result["got"]["arguments"] == arguments
        token = result["got"]["_meta"].pop("progressToken")
        assert isinstance(token, int)
        assert result["got"]["_meta"] == {"acme/x": {"deep": None}, "traceparent": "00-1-2-01"}
    assert "resultType" not in answer["result"]
    assert "_meta" not in answer["result"]
    assert [job.spec.priority for job in await longhaul.jobs()] == [8, 8]


async def test_the_answer_that_went_out_is_noted(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    await http.post(longhaul.url, **modern_call("echo"))
    legacy = LegacyClient(http, longhaul.url)
    await legacy.initialize()
    await legacy.post("tools/call", {"name": "echo"}, id=1)

    async def noted() -> bool:
        return [job.answered for job in await longhaul.jobs()] == [True, True]

    await until_answered(noted)


async def test_arguments_against_the_schema_queue_nothing(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    answer = (await http.post(longhaul.url, **modern_call("strict", {"count": 9}))).json()
    assert answer["result"]["isError"] is True
    text = answer["result"]["content"][0]["text"]
    assert "at count: it is greater than the maximum of 3" in text
    assert "properties/count/maximum" in text
    assert await longhaul.jobs() == []


async def test_an_unknown_tool_is_refused(longhaul: Router, http: httpx2.AsyncClient) -> None:
    response = await http.post(longhaul.url, **modern_call("nothing"))
    assert response.status_code == 400
    assert response.json()["error"] == {"code": -32602, "message": "Unknown tool: nothing"}
    async with Client(longhaul.url, mode="legacy") as client:
        with pytest.raises(MCPError, match="Unknown tool: nothing"):
            await client.call_tool("nothing", {})
    assert await longhaul.jobs() == []


async def test_a_priority_out_of_range_is_refused(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    response = await http.post(longhaul.url, **modern_call("echo", meta={"longhaul/priority": 10}))
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32602)
    assert await longhaul.jobs() == []


async def test_a_cancel_by_others_ends_the_wait(
    backend: LegacyHttp, longhaul: Router, http: httpx2.AsyncClient
) -> None:
    call = asyncio.create_task(http.post(longhaul.url, **modern_call("wait")))
    await backend.waiting.wait()
    job = await longhaul.only_job()
    await longhaul.ingress.cancel.cancel(job.id, "by an operator")
    assert (await call).json()["error"] == {
        "code": -31003,
        "message": f"job {job.id} was cancelled",
        "data": {"job": job.id},
    }


async def test_a_full_queue_refuses_for_now(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    full = {"fixture": {"max_waiting": 0}}
    async with router(tmp_path, backend_url, queues=full) as longhaul:
        response = await http.post(longhaul.url, **modern_call("echo"))
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        assert response.json()["error"]["data"] == {"retryable": True, "retryAfterMs": 5000}
        assert await longhaul.jobs() == []


async def test_a_session_is_its_callers_only(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    keys = [{"key": "a" * 16, "caller": "ann"}, {"key": "b" * 16, "caller": "bob"}]
    async with router(tmp_path, backend_url, listen={"api_keys": keys}) as longhaul:
        client = LegacyClient(http, longhaul.url)
        client.headers["x-api-key"] = "a" * 16
        await client.initialize()
        client.headers["x-api-key"] = "b" * 16
        response = await client.post("tools/list", id=1)
        assert (response.status_code, response.json()["error"]["message"]) == (
            404,
            "Session not found",
        )
        assert (await client.delete()).status_code == 404
        client.headers["x-api-key"] = "a" * 16
        assert (await client.post("tools/list", id=1)).status_code == 200


async def test_a_failed_submission_tells_nothing_of_the_inside(
    longhaul: Router, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(type(longhaul.runtime.store), "commit", broken)
    legacy = LegacyClient(http, longhaul.url)
    await legacy.initialize()
    answer = last_message((await legacy.post("tools/call", {"name": "echo"}, id=1)).text)
    assert answer["error"] == {"code": -32603, "message": "Internal error"}
    modern = (await http.post(longhaul.url, **modern_call("echo"))).json()
    assert modern["error"] == {"code": -32603, "message": "Internal error"}


async def test_older_handshakes_are_served(longhaul: Router, http: httpx2.AsyncClient) -> None:
    for version in ("2024-11-05", "2025-03-26", "2025-06-18", LEGACY):
        client = LegacyClient(http, longhaul.url)
        params = {
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": {"name": "old", "version": "0"},
        }
        response = await client.post("initialize", params, id=0)
        result = last_message(response.text)["result"]
        assert result["protocolVersion"] == version
        tasks = result["capabilities"].pop("tasks", None)
        assert (tasks is not None) is (version == LEGACY)
        assert result["capabilities"] == {
            "logging": {},
            "resources": {"listChanged": True},
            "tools": {"listChanged": True},
        }
        assert result["serverInfo"]["name"] == "longhaul"


async def test_white_space_around_header_values_means_nothing(longhaul: Router) -> None:
    call = modern_call("echo")
    body = httpx2.Request("POST", longhaul.url, json=call["json"]).content
    host = httpx2.URL(longhaul.url).netloc.decode()
    lines = [f"{name}: \t{value} \t" for name, value in call["headers"].items()]
    lines += [f"host: {host}", "content-type: application/json", f"content-length: {len(body)}"]
    head = "\r\n".join(["POST /mcp HTTP/1.1", *lines, "connection: close", "", ""])
    reader, writer = await asyncio.open_connection(*host.split(":"))
    writer.write(head.encode() + body)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b"hologram" in answer
