"""Behind the router a backend has tasks of its own: callers see the router's, or none at all."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from common.config.model import Answering
from tests.support.backends.tasking import LegacyTasks, ModernTasks, TaskingBackend
from tests.support.routers import LegacyClient, Router, router
from tests.support.tasks import TaskClient, legacy_request

pytestmark = pytest.mark.anyio

QUICK = Answering(inline_wait=0.1)
TOOLS = {"plain": {"task": "never"}}  # where the backend requires it, callers still need not


@pytest.fixture(params=[ModernTasks, LegacyTasks], ids=["modern", "legacy"])
def tasking(request: pytest.FixtureRequest) -> TaskingBackend:
    made: TaskingBackend = request.param()
    return made


@pytest.fixture
async def longhaul(tasking: TaskingBackend, tmp_path: Path) -> AsyncIterator[Router]:
    async with (
        tasking.serve() as url,
        router(tmp_path, f"{url}/mcp", answering=QUICK, tools=TOOLS) as running,
    ):
        yield running


async def test_a_caller_without_tasks_is_held_and_gets_the_result(
    longhaul: Router, tasking: TaskingBackend, http: httpx2.AsyncClient
) -> None:
    client = TaskClient(http, longhaul.url, declared={})
    call = asyncio.create_task(client.call("work"))
    (await tasking.begun()).ends(structuredContent={"rows": 3})
    result = await call
    assert (result["resultType"], result["structuredContent"]) == ("complete", {"rows": 3})
    assert "related-task" not in str(result)
    assert not (await longhaul.only_job()).handed_off


async def test_a_callers_task_is_the_job_and_not_the_backends_task(
    longhaul: Router, tasking: TaskingBackend, http: httpx2.AsyncClient
) -> None:
    client = TaskClient(http, longhaul.url)
    shown = await client.call("work")
    behind = await tasking.begun()
    assert (shown["resultType"], shown["taskId"]) == ("task", (await longhaul.only_job()).id)
    behind.message = "reading"
    behind.ends()
    ended = await client.until(shown["taskId"])
    assert (ended["status"], ended["result"]["content"][0]["text"]) == ("completed", "done")
    unknown = await client.request("tasks/get", taskId=behind.id)
    assert unknown["error"]["code"] == -32602


async def test_what_the_list_says_of_tasks_is_the_routers_word(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    client = LegacyClient(http, longhaul.url)
    await client.initialize()
    listed = (await legacy_request(client, "tools/list"))["result"]["tools"]
    said = {
        tool["name"]: tool["execution"]["taskSupport"] for tool in listed if "execution" in tool
    }
    assert (said["work"], said["plain"]) == ("optional", "forbidden")
