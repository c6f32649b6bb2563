"""A call for later over MCP: nobody is held for it, every client gets the id at once."""

from typing import Any

import httpx2
import pytest

from common.jobs.state import JobState
from tests.support.routers import LegacyClient, Router, last_message, modern_call
from tests.support.tasks import TaskClient

pytestmark = pytest.mark.anyio

LATER = {"longhaul/delay": "10m"}


@pytest.mark.parametrize("meta", [LATER, {**LATER, "longhaul/wait": "forever"}])
async def test_a_client_without_tasks_is_handed_off_at_once(
    longhaul: Router, http: httpx2.AsyncClient, meta: dict[str, Any]
) -> None:
    answer = (await http.post(longhaul.url, **modern_call("echo", {"a": 1}, meta=meta))).json()
    job = await longhaul.only_job()
    assert job.state is JobState.HELD
    assert answer["result"]["_meta"]["longhaul/job"]["id"] == job.id
    text = answer["result"]["content"][0]["text"]
    assert text.startswith(f"Scheduled as job {job.id}: to start in ")


async def test_a_client_of_the_handshake_too(longhaul: Router, http: httpx2.AsyncClient) -> None:
    legacy = LegacyClient(http, longhaul.url)
    await legacy.initialize()
    params = {"name": "echo", "arguments": {}, "_meta": LATER}
    answer = last_message((await legacy.post("tools/call", params, id=1)).text)
    assert answer["result"]["_meta"]["longhaul/job"]["state"] == "held"


async def test_a_task_client_gets_a_task_that_works(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    client = TaskClient(http, longhaul.url)
    task = await client.call("echo", {"a": 1}, meta=LATER)
    assert (task["resultType"], task["status"]) == ("task", "working")
    assert task["statusMessage"].startswith("scheduled for 20")
    assert task["pollIntervalMs"] == 15_000
    shown = await client.request("tasks/cancel", taskId=task["taskId"])
    assert "error" not in shown
    assert (await longhaul.only_job()).state is JobState.CANCELLED


async def test_nonsense_is_refused(longhaul: Router, http: httpx2.AsyncClient) -> None:
    meta = {"longhaul/run_at": "tomorrow"}
    answer = (await http.post(longhaul.url, **modern_call("echo", {}, meta=meta))).json()
    assert answer["error"]["code"] == -32602
    assert await longhaul.jobs() == []
