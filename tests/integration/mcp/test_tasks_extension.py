"""The tasks extension of 2026-07-28 on the wire: creation, polling, cancelling, who may what."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from common.config.model import Answering
from common.errors import TIMED_OUT
from common.jobs.state import JobState
from tests.support.backends.legacy_http import LegacyHttp
from tests.support.routers import Router, offer, router, tool
from tests.support.tasks import EXTENSION, TaskClient
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

QUICK = Answering(inline_wait=0.1)
TOOLS = {
    "steps": {"task": "required"},
    "big": {"task": "never"},
    "pid": {"task": "after_input"},
}
KEYS = {"api_keys": "ann=key-of-ann,bob=key-of-bob"}
MISSING: dict[str, Any] = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}


@pytest.fixture
async def longhaul(backend_url: str, tmp_path: Path) -> AsyncIterator[Router]:
    async with router(tmp_path, backend_url, answering=QUICK, tools=TOOLS) as running:
        yield running


@pytest.fixture
def client(longhaul: Router, http: httpx2.AsyncClient) -> TaskClient:
    return TaskClient(http, longhaul.url)


async def test_the_extension_is_told_to_modern_clients_alone(client: TaskClient) -> None:
    capabilities = (await client.request("server/discover"))["result"]["capabilities"]
    assert capabilities["extensions"] == {EXTENSION: {}}
    assert "tasks" not in capabilities


async def test_what_is_ready_soon_is_answered_at_once(longhaul: Router, client: TaskClient) -> None:
    result = await client.call("echo", {"a": 1})
    assert (result["resultType"], result["content"]) == ("complete", [{"type": "hologram"}])
    assert not (await longhaul.only_job()).handed_off


async def test_what_is_slow_becomes_a_task_that_ends_with_the_tools_own_result(
    longhaul: Router, client: TaskClient, backend: LegacyHttp
) -> None:
    created = await client.call("wait")
    job = await longhaul.only_job()
    assert created["resultType"] == "task"
    assert (created["taskId"], created["status"]) == (job.id, "working")
    assert created.keys() >= {"createdAt", "lastUpdatedAt", "ttlMs", "pollIntervalMs"}
    assert not created.keys() & {"task", "result", "error", "inputRequests", "requestState"}
    working = await client.get(job.id)
    assert (working["resultType"], working["status"]) == ("complete", "working")
    assert working["statusMessage"].startswith("running, try 1")
    backend.released.set()
    done = await client.until(job.id)
    assert done["result"]["content"] == [{"type": "text", "text": "done"}]
    assert done["result"]["resultType"] == "complete"
    assert done["ttlMs"] > 0
    again = await client.get(job.id)
    assert again == done
    assert (await longhaul.only_job()).cancel_at == 0


async def test_a_required_tool_is_a_task_at_once_and_for_nobody_else(
    longhaul: Router, client: TaskClient, http: httpx2.AsyncClient
) -> None:
    created = await client.call("steps", {"count": 0})
    assert created["resultType"] == "task"
    assert (await client.until(created["taskId"]))["status"] == "completed"
    undeclared = TaskClient(http, longhaul.url, declared={})
    refusal = await undeclared.request("tools/call", tool="steps")
    assert (refusal["error"]["code"], refusal["error"]["data"]) == (-32021, MISSING)
    assert len(await longhaul.jobs()) == 1


async def test_a_tool_that_is_never_a_task_is_held(longhaul: Router, client: TaskClient) -> None:
    assert (await client.call("big", {"size": 3}))["content"][0]["text"] == "xxx"
    assert (await client.call("pid", meta={"longhaul/wait": 5}))["pid"]
    assert all(not job.handed_off for job in await longhaul.jobs())


async def test_the_task_of_the_older_dialect_means_nothing_here(client: TaskClient) -> None:
    answer = await client.request("tools/call", tool="echo", task={"ttl": 5})
    assert answer["result"]["resultType"] == "complete"


async def test_a_call_that_ends_in_an_error_is_a_failure_for_ever(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    brief = {"wait": {"timeout": {"run": 0.2}}}
    async with router(tmp_path, backend_url, answering=QUICK, tools=brief) as longhaul:
        client = TaskClient(http, longhaul.url)
        failed = await client.call("wait", meta={"longhaul/wait": 0})
        shown = await client.until(failed["taskId"])
        assert (shown["status"], shown["error"]["code"]) == ("failed", TIMED_OUT)
        assert "result" not in shown
        assert await client.get(failed["taskId"]) == shown


async def test_cancelling_is_acknowledged_however_often(
    client: TaskClient, backend: LegacyHttp
) -> None:
    created = await client.call("wait")
    for _ in range(2):
        answer = (await client.request("tasks/cancel", taskId=created["taskId"]))["result"]
        assert answer.pop("_meta")
        assert answer == {"resultType": "complete"}
    assert (await client.get(created["taskId"]))["status"] == "cancelled"
    await until(lambda: any(each.is_set() for each in backend.cancelled.values()))


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
async def test_a_task_that_is_not_there_is_the_same_for_all(
    http: httpx2.AsyncClient, tmp_path: Path, backend_url: str, method: str
) -> None:
    async with router(tmp_path, backend_url, answering=QUICK, listen=KEYS) as keyed:
        ann, bob = (
            TaskClient(http, keyed.url, {"authorization": f"Bearer key-of-{name}"})
            for name in ("ann", "bob")
        )
        task = (await ann.call("wait"))["taskId"]
        said = [
            (await who.request(method, taskId=asked, inputResponses={}))["error"]
            for who, asked in [(bob, task), (ann, "0" * 22), (ann, "nonsense")]
        ]
        assert said == [{"code": -32602, "message": "Task not found"}] * 3
        assert (await ann.get(task))["status"] == "working"


@pytest.mark.parametrize("method", ["tasks/get", "tasks/update", "tasks/cancel"])
async def test_who_has_not_declared_the_extension_has_no_tasks(
    longhaul: Router, http: httpx2.AsyncClient, method: str
) -> None:
    plain = TaskClient(http, longhaul.url, declared={"elicitation": {}})
    error = (await plain.request(method, taskId="x"))["error"]
    assert (error["code"], error["data"]) == (-32021, MISSING)


@pytest.mark.parametrize("method", ["tasks/list", "tasks/result"])
async def test_methods_of_the_older_dialect_are_not_there(client: TaskClient, method: str) -> None:
    assert (await client.request(method, taskId="x"))["error"]["code"] == -32601


async def test_a_header_that_names_another_task_is_refused(client: TaskClient) -> None:
    task = (await client.call("wait"))["taskId"]
    for name, code in [("another", -32020), (task, None)]:
        answer = await client.request("tasks/get", taskId=task, headers={"mcp-name": name})
        assert answer.get("error", {}).get("code") == code
    assert (await client.request("tasks/get", taskId=7))["error"]["code"] == -32602


async def test_a_waiting_task_says_how_many_come_first(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=QUICK, slots=0) as longhaul:
        await offer(longhaul, tool("echo"))
        client = TaskClient(http, longhaul.url)
        first, second = [await client.call("echo", {"n": number}) for number in range(2)]
        assert second["statusMessage"] == "queued, 1 job before it"
        assert second["pollIntervalMs"] > first["pollIntervalMs"]


async def test_a_task_outlives_its_client_and_a_restart_of_everything(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        "answering": QUICK,
        "namespace": "t",
        "tools": {"*": {"repeatable": True}},
    }
    async with router(tmp_path, backend_url, **settings) as longhaul:
        client = TaskClient(http, longhaul.url)
        task = (await client.call("wait"))["taskId"]
        await longhaul.until_state(JobState.RUNNING)
    backend.released.set()
    async with router(tmp_path, backend_url, **settings) as longhaul:
        done = await TaskClient(http, longhaul.url).until(task)
        assert done["result"]["content"] == [{"type": "text", "text": "done"}]
