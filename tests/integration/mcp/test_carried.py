"""Clients of 2026-07-28 without tasks come again by themselves, so a slow tool needs no job id."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client

from common.config.model import Answering
from common.jobs.state import JobState
from tests.support.backends.legacy_http import LegacyHttp
from tests.support.routers import router
from tests.support.tasks import TaskClient
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

BRIEF = Answering(call_wait=0.2)


async def test_an_official_client_gets_the_result_of_a_tool_that_is_slower_than_its_wait(
    backend: LegacyHttp, backend_url: str, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=BRIEF, carried=True) as longhaul:
        async with Client(longhaul.url, mode="2026-07-28") as client:
            call = asyncio.create_task(client.call_tool("wait", {}))
            await until_answered(lambda: legs(longhaul, 5))
            backend.released.set()
            result = await call
        assert result.model_dump()["content"][0]["text"] == "done"
        assert (await longhaul.only_job()).cancel_at == 0


async def test_after_so_many_rounds_it_is_handed_off_like_others(
    backend_url: str, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=BRIEF, carried=True) as longhaul:
        async with Client(longhaul.url, mode="2026-07-28") as client:
            result = await client.call_tool("wait", {})
        job = await longhaul.only_job()
        assert f"running as job {job.id}" in result.model_dump()["content"][0]["text"]
        assert job.leg == 2 * 8
        assert job.cancel_at == 0


async def legs(longhaul: Any, least: int) -> bool:
    jobs = await longhaul.jobs()
    return bool(jobs) and jobs[0].leg >= least


async def test_who_said_how_long_it_waits_is_not_sent_back(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=BRIEF, carried=True) as longhaul:
        client = TaskClient(http, longhaul.url, declared={})
        handed = await client.call("wait", meta={"longhaul/wait": 0.1})
        assert handed["resultType"] == "complete"
        assert "longhaul/job" in handed["_meta"]


async def test_who_does_not_come_again_is_not_waited_for(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    brief = BRIEF.model_copy(update={"orphan_ttl": 0.5})
    async with router(tmp_path, backend_url, answering=brief, carried=True) as longhaul:
        client = TaskClient(http, longhaul.url, declared={})
        sent_back = await client.call("wait")
        assert sent_back.keys() == {"resultType", "requestState", "_meta"}
        job = await longhaul.until_state(JobState.CANCELLED)
        assert job.reason == "nobody waited for it any more"
        await until(lambda: any(each.is_set() for each in backend.cancelled.values()))
        state = sent_back["requestState"]
        late = await client.request("tools/call", tool="wait", requestState=state)
        assert late["error"]["code"] == -32602


async def test_a_way_back_leads_over_a_restart_of_everything(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {
        # As often as it takes: a slow start costs rounds.
        "answering": BRIEF.model_copy(update={"carry_rounds": 100}),
        "namespace": "t",
        "secret_key": "the same",
        "tools": {"*": {"repeatable": True}},
    }
    async with router(tmp_path, backend_url, carried=True, **settings) as longhaul:
        state = (await TaskClient(http, longhaul.url, declared={}).call("wait"))["requestState"]
    backend.released.set()
    async with router(tmp_path, backend_url, carried=True, **settings) as longhaul:
        client = TaskClient(http, longhaul.url, declared={})
        result: dict[str, Any] = {}
        while "requestState" in (result := await client.call("wait", requestState=state)):
            state = result["requestState"]
        assert result["content"] == [{"type": "text", "text": "done"}]
        assert len(await longhaul.jobs()) == 1


async def test_a_result_that_is_there_is_not_waited_for(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    rule = {"patient": {"call_wait": 15}}
    async with router(
        tmp_path, backend_url, answering=BRIEF, carried=True, clients=rule
    ) as longhaul:
        client = TaskClient(http, longhaul.url, declared={})
        state = (await client.call("wait"))["requestState"]
        backend.released.set()
        await longhaul.until_state(JobState.COMPLETED)
        patient = {"io.modelcontextprotocol/clientInfo": {"name": "patient", "version": "0"}}
        async with asyncio.timeout(5):
            result = await client.call("wait", requestState=state, meta=patient)
        assert result["content"] == [{"type": "text", "text": "done"}]
