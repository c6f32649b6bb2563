"""The tasks of 2025-11-25 on the wire: who asks for one gets one, and its own rules for errors."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from common.errors import CANCELLED
from common.jobs.state import JobState
from tests.support.backends.legacy_http import LegacyHttp
from tests.support.routers import LegacyClient, Router, last_message, router
from tests.support.tasks import legacy_request
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

TOOLS = {"steps": {"task": "required"}, "big": {"task": "never"}}
KEYS = {"api_keys": "ann=key-of-ann,bob=key-of-bob"}
TASK = {"ttl": 60_000}
RELATED = "io.modelcontextprotocol/related-task"


@pytest.fixture
async def longhaul(backend_url: str, tmp_path: Path) -> AsyncIterator[Router]:
    async with router(tmp_path, backend_url, tools=TOOLS) as running:
        yield running


@pytest.fixture
async def client(longhaul: Router, http: httpx2.AsyncClient) -> LegacyClient:
    opened = LegacyClient(http, longhaul.url)
    await opened.initialize()
    return opened


async def create(client: LegacyClient, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = await legacy_request(client, "tools/call", name=tool, arguments=arguments, task=TASK)
    assert answer["result"].keys() == {"task"}
    task: dict[str, Any] = answer["result"]["task"]
    return task


async def test_a_call_with_a_task_is_answered_at_once_and_again_at_its_end(
    longhaul: Router, client: LegacyClient, backend: LegacyHttp
) -> None:
    task = await create(client, "wait")
    assert task["status"] == "working"
    assert task.keys() >= {"taskId", "createdAt", "lastUpdatedAt", "ttl", "pollInterval"}
    shown = await legacy_request(client, "tasks/get", taskId=task["taskId"])
    assert shown["result"].keys() == task.keys()
    waits = asyncio.create_task(legacy_request(client, "tasks/result", taskId=task["taskId"]))
    await backend.waiting.wait()
    assert not waits.done()
    backend.released.set()
    result = (await waits)["result"]
    assert result == {
        "content": [{"type": "text", "text": "done"}],
        "_meta": {RELATED: {"taskId": task["taskId"]}},
    }
    ended = await legacy_request(client, "tasks/get", taskId=task["taskId"])
    assert ended["result"]["status"] == "completed"
    assert "_meta" not in ended["result"]
    assert (await longhaul.only_job()).cancel_at == 0


async def test_the_result_is_the_calls_own_error(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    brief = {"wait": {"timeout": {"run": 0.2}}}
    async with router(tmp_path, backend_url, tools=brief) as longhaul:
        client = LegacyClient(http, longhaul.url)
        await client.initialize()
        plain = await legacy_request(client, "tools/call", name="wait")
        task = await create(client, "wait", other=1)
        answer = await legacy_request(client, "tasks/result", taskId=task["taskId"])
        assert answer["error"] == plain["error"]
        shown = await legacy_request(client, "tasks/get", taskId=task["taskId"])
        assert shown["result"]["status"] == "failed"


async def test_cancelling_is_told_in_the_answer_and_refused_once_it_has_ended(
    client: LegacyClient,
) -> None:
    task = (await create(client, "wait"))["taskId"]
    answer = await legacy_request(client, "tasks/cancel", taskId=task)
    assert (answer["result"]["taskId"], answer["result"]["status"]) == (task, "cancelled")
    assert (await legacy_request(client, "tasks/cancel", taskId=task))["error"]["code"] == -32602
    assert (await legacy_request(client, "tasks/result", taskId=task))["error"]["code"] == CANCELLED


async def test_tools_say_what_they_support_and_mean_it(client: LegacyClient) -> None:
    listed = (await legacy_request(client, "tools/list"))["result"]["tools"]
    support = {each["name"]: each["execution"]["taskSupport"] for each in listed}
    assert (support["steps"], support["big"], support["echo"]) == (
        "required",
        "forbidden",
        "optional",
    )
    for params in ({"name": "steps"}, {"name": "big", "arguments": {"size": 1}, "task": {}}):
        assert (await legacy_request(client, "tools/call", **params))["error"]["code"] == -32601
    assert (await create(client, "steps"))["status"] == "working"


async def test_a_task_that_is_not_there_is_the_same_for_all(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, listen=KEYS) as keyed:
        ann, bob = [await keyed_client(http, keyed, name) for name in ("ann", "bob")]
        task = (await create(ann, "wait"))["taskId"]
        for method in ("tasks/get", "tasks/result", "tasks/cancel"):
            for who, asked in [(bob, task), (ann, "0" * 22), (ann, "nonsense")]:
                answer = await legacy_request(who, method, taskId=asked)
                assert answer["error"] == {"code": -32602, "message": "Task not found"}


async def test_a_list_has_the_callers_own_tasks_and_every_one(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingress.mcp.legacy_tasks.PAGE", 2)
    async with router(tmp_path, backend_url, listen=KEYS, slots=1) as keyed:
        ann, bob = [await keyed_client(http, keyed, name) for name in ("ann", "bob")]
        tasks = [(await create(ann, "wait", n=number))["taskId"] for number in range(5)]
        await create(bob, "wait")
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = (await legacy_request(ann, "tasks/list", **cursor))["result"]
            seen += [each["taskId"] for each in page["tasks"]]
            if "nextCursor" not in page:
                break
            cursor = {"cursor": page["nextCursor"]}
        assert seen == tasks[::-1]
        refused = await legacy_request(ann, "tasks/list", cursor="nonsense")
        assert refused["error"]["code"] == -32602


async def test_who_is_not_identified_has_no_list(
    longhaul: Router, http: httpx2.AsyncClient, client: LegacyClient
) -> None:
    assert (await legacy_request(client, "tasks/list"))["error"]["code"] == -32601
    told = await LegacyClient(http, longhaul.url).initialize()
    assert told["result"]["capabilities"]["tasks"] == {
        "cancel": {},
        "requests": {"tools": {"call": {}}},
    }


async def test_older_versions_know_no_tasks(longhaul: Router, http: httpx2.AsyncClient) -> None:
    client = LegacyClient(http, longhaul.url)
    version = "2025-06-18"
    params = {
        "protocolVersion": version,
        "capabilities": {},
        "clientInfo": {"name": "old", "version": "0"},
    }
    response = await client.post("initialize", params, id=0)
    assert "tasks" not in last_message(response.text)["result"]["capabilities"]
    client.headers["mcp-session-id"] = response.headers["mcp-session-id"]
    client.headers["mcp-protocol-version"] = version
    listed = (await legacy_request(client, "tools/list"))["result"]["tools"]
    assert not any("execution" in each for each in listed)
    for method in ("tasks/get", "tasks/list", "tasks/update"):
        assert (await legacy_request(client, method, taskId="x"))["error"]["code"] == -32601
    # A tool that is only a task elsewhere is not out of their reach, and `task` means nothing.
    answer = await legacy_request(client, "tools/call", name="steps", task=TASK)
    assert answer["result"]["content"] == [{"type": "text", "text": "done"}]


async def test_a_lost_client_finds_its_task_again(
    longhaul: Router, http: httpx2.AsyncClient, client: LegacyClient, backend: LegacyHttp
) -> None:
    task = (await create(client, "wait"))["taskId"]
    waits = asyncio.create_task(legacy_request(client, "tasks/result", taskId=task))
    await backend.waiting.wait()
    waits.cancel()
    await asyncio.gather(waits, return_exceptions=True)
    await client.delete()
    backend.released.set()
    await longhaul.until_state(JobState.COMPLETED)
    other = LegacyClient(http, longhaul.url)
    await other.initialize()
    result = (await legacy_request(other, "tasks/result", taskId=task))["result"]
    assert result["content"] == [{"type": "text", "text": "done"}]
    await until(lambda: not longhaul.ingress.follower.following)


async def keyed_client(http: httpx2.AsyncClient, longhaul: Router, name: str) -> LegacyClient:
    client = LegacyClient(http, longhaul.url)
    client.headers["x-api-key"] = f"key-of-{name}"
    told = await client.initialize()
    assert told["result"]["capabilities"]["tasks"]["list"] == {}
    return client
