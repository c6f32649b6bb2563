"""An identical call comes for a job that was let go; two deliberate equal calls are two jobs."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from common.config.model import Answering
from common.jobs.state import JobState
from tests.support.backends.legacy_http import LegacyHttp
from tests.support.routers import LegacyClient, Router, modern_call, router
from tests.support.tasks import TaskClient, legacy_request
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

HASTY = Answering(call_wait=0.2, inline_wait=0.1)
PATIENT = Answering(call_wait=20.0)
KEYS = {"api_keys": "ann=key-of-ann,bob=key-of-bob"}
JOB = "longhaul/job"


def plain(longhaul: Router, http: httpx2.AsyncClient, **more: Any) -> TaskClient:
    """A client that has not declared tasks."""
    return TaskClient(http, longhaul.url, declared={}, **more)


async def test_a_call_after_a_hand_off_is_the_same_job(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=HASTY) as longhaul:
        client = plain(longhaul, http)
        first = await client.call("wait", {"a": 1, "b": 2})
        job = first["_meta"][JOB]["id"]
        assert "attached" not in first["_meta"][JOB]
        again = await client.call("wait", {"b": 2, "a": 1})
        assert (again["_meta"][JOB]["id"], again["_meta"][JOB]["attached"]) == (job, True)
        assert "an identical call had started it" in again["content"][0]["text"]
        backend.released.set()
        await longhaul.until_state(JobState.COMPLETED)
        result = await client.call("wait", {"a": 1, "b": 2})
        assert result["content"] == [{"type": "text", "text": "done"}]
        assert result["_meta"][JOB] == {"id": job, "attached": True}
        # Now it was collected: the next one is a deliberate second call.
        await until_answered(lambda: collected(longhaul, job))
        assert JOB not in (await client.call("wait", {"a": 1, "b": 2}))["_meta"]
        assert len(await longhaul.jobs()) == 2


async def collected(longhaul: Router, job: str) -> bool:
    return any(each.id == job and each.collected for each in await longhaul.jobs())


async def test_two_equal_calls_at_a_time_are_two_jobs(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=PATIENT) as longhaul:
        client = plain(longhaul, http)
        calls = [asyncio.create_task(client.call("wait")) for _ in range(2)]
        await until_answered(lambda: running(longhaul, 2))
        backend.released.set()
        for call in calls:
            assert (await call)["content"] == [{"type": "text", "text": "done"}]


async def running(longhaul: Router, count: int) -> bool:
    return [job.state for job in await longhaul.jobs()] == [JobState.RUNNING] * count


@pytest.mark.parametrize(
    ("arguments", "meta", "key", "rule"),
    [
        ({"n": 1}, {}, "ann", {}),
        ({}, {"longhaul/new": True}, "ann", {}),
        ({}, {}, "bob", {}),
        ({}, {}, "ann", {"attach": "never"}),
    ],
    ids=["other arguments", "a new one is wanted", "another caller", "the tool never attaches"],
)
async def test_what_is_not_an_identical_call(
    backend: LegacyHttp,
    backend_url: str,
    http: httpx2.AsyncClient,
    tmp_path: Path,
    arguments: Any,
    meta: Any,
    key: str,
    rule: Any,
) -> None:
    tools = {"wait": rule}
    async with router(tmp_path, backend_url, answering=HASTY, listen=KEYS, tools=tools) as longhaul:
        ann, other = (
            plain(longhaul, http, headers={"x-api-key": f"key-of-{name}"}) for name in ("ann", key)
        )
        first = await ann.call("wait")
        second = await other.call("wait", arguments, meta=meta)
        assert second["_meta"][JOB]["id"] != first["_meta"][JOB]["id"]
        assert "attached" not in second["_meta"][JOB]
        backend.released.set()


async def test_after_a_while_a_call_is_a_new_one(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    brief = Answering(call_wait=0.2, attach_for=0.3)
    async with router(tmp_path, backend_url, answering=brief) as longhaul:
        client = plain(longhaul, http)
        first = (await client.call("wait"))["_meta"][JOB]["id"]
        let_go = (await longhaul.only_job()).let_go_at / 1000
        await until(lambda: longhaul.runtime.clock.now() > let_go + 0.3)
        assert (await client.call("wait"))["_meta"][JOB]["id"] != first


async def test_who_comes_back_to_an_abandoned_job_keeps_it_from_being_cancelled(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    soon = Answering(abandon_after=1.0, call_wait=20.0)
    async with router(tmp_path, backend_url, answering=soon) as longhaul:
        client = plain(longhaul, http)
        lost = asyncio.create_task(client.call("wait"))
        await backend.waiting.wait()
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
        cancel_at = (await until_answered(lambda: abandoned(longhaul))) / 1000
        again = asyncio.create_task(client.call("wait"))
        await until(lambda: longhaul.runtime.clock.now() > cancel_at + 1.5)
        assert (await longhaul.only_job()).state is JobState.RUNNING
        backend.released.set()
        result = await again
        assert result["content"] == [{"type": "text", "text": "done"}]
        assert result["_meta"][JOB]["attached"] is True


async def abandoned(longhaul: Router) -> int:
    return (await longhaul.only_job()).cancel_at


async def test_who_comes_back_and_leaves_again_abandons_it_again(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    soon = Answering(abandon_after=0.5, call_wait=20.0)
    async with router(tmp_path, backend_url, answering=soon) as longhaul:
        client = plain(longhaul, http)
        for _ in range(2):
            lost = asyncio.create_task(client.call("wait"))
            await backend.waiting.wait()
            await until_answered(lambda: kept(longhaul))
            await until(lambda: longhaul.ingress.follower.following)
            lost.cancel()
            await asyncio.gather(lost, return_exceptions=True)
            await until_answered(lambda: abandoned(longhaul))
        await longhaul.until_state(JobState.CANCELLED)


async def test_once_its_id_was_given_out_who_comes_back_may_leave_again(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    soon = Answering(abandon_after=0.1, orphan_ttl=0.1, call_wait=0.2)
    async with router(tmp_path, backend_url, answering=soon) as longhaul:
        client = plain(longhaul, http)
        await client.call("wait")
        lost = asyncio.create_task(client.call("wait", meta={"longhaul/wait": 20}))
        await until(lambda: longhaul.ingress.follower.following)
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
        await until(lambda: not longhaul.ingress.follower.following)
        assert (await longhaul.only_job()).cancel_at == 0
        backend.released.set()
        await longhaul.until_state(JobState.COMPLETED)


async def test_an_orphan_of_a_legacy_client_is_come_for_by_its_next_session(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=PATIENT) as longhaul:
        first = LegacyClient(http, longhaul.url)
        await first.initialize()
        async with first.call("wait", request_id=7):
            await backend.waiting.wait()
        await until_answered(lambda: abandoned(longhaul))
        second = LegacyClient(http, longhaul.url)
        await second.initialize()
        again = asyncio.create_task(legacy_request(second, "tools/call", name="wait", arguments={}))
        await until_answered(lambda: kept(longhaul))
        backend.released.set()
        result = (await again)["result"]
        assert result["_meta"][JOB]["attached"] is True
        assert result["content"] == [{"type": "text", "text": "done"}]
        await longhaul.only_job()


async def kept(longhaul: Router) -> bool:
    return not (await longhaul.only_job()).cancel_at


async def test_a_task_is_never_attached_to(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=HASTY) as longhaul:
        client = TaskClient(http, longhaul.url)
        tasks = {(await client.call("wait"))["taskId"] for _ in range(2)}
        assert len(tasks) == 2
        handed = await plain(longhaul, http).call("wait")
        assert handed["_meta"][JOB]["id"] not in tasks
        # A client of tasks may come for what was handed off; then it is its task.
        attached = await client.call("wait")
        assert attached["taskId"] == handed["_meta"][JOB]["id"]
        assert attached["_meta"][JOB]["attached"] is True
        await until_answered(lambda: collected(longhaul, attached["taskId"]))
        assert (await client.call("wait"))["taskId"] != attached["taskId"]
        backend.released.set()


async def test_what_ended_uncollected_is_kept_for_the_same_call_over_a_restart(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"answering": HASTY, "namespace": "t"}
    async with router(tmp_path, backend_url, **settings) as longhaul:
        job = (await plain(longhaul, http).call("wait"))["_meta"][JOB]["id"]
        backend.released.set()
        await longhaul.until_state(JobState.COMPLETED)
    async with router(tmp_path, backend_url, **settings) as longhaul:
        call = modern_call("wait")
        result = (await http.post(longhaul.url, **call)).json()["result"]
        assert result["content"] == [{"type": "text", "text": "done"}]
        assert result["_meta"][JOB] == {"id": job, "attached": True}
