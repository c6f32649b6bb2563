"""Idempotency keys over MCP: a call that comes again is the job it was, held like any other."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from common.config.model import Answering
from common.jobs.indexes import DUE
from common.jobs.state import JobState
from tests.support.backends.legacy_http import LegacyHttp
from tests.support.routers import LegacyClient, Router, modern_call, router
from tests.support.tasks import TaskClient, legacy_request
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

HASTY = Answering(call_wait=0.2, inline_wait=0.1)
SOON = Answering(call_wait=20.0, abandon_after=0.2, orphan_ttl=0.2)
KEY = "longhaul/idempotency-key"
JOB = "longhaul/job"
K = {KEY: "k"}
DONE = [{"type": "text", "text": "done"}]


def plain(longhaul: Router, http: httpx2.AsyncClient) -> TaskClient:
    """A client that has not declared tasks."""
    return TaskClient(http, longhaul.url, declared={})


async def legacy(longhaul: Router, http: httpx2.AsyncClient) -> LegacyClient:
    client = LegacyClient(http, longhaul.url)
    await client.initialize()
    return client


async def test_a_call_that_comes_again_is_answered_with_the_stored_result(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    client = plain(longhaul, http)
    first = await client.call("echo", {"a": 1, "b": 2}, meta=K)
    again = await client.call("echo", {"b": 2, "a": 1}, meta=K | {"longhaul/priority": 9})
    assert first == again
    assert KEY not in str(first["got"])
    params = {"name": "echo", "arguments": {"a": 1, "b": 2}, "_meta": K}
    answer = await legacy_request(await legacy(longhaul, http), "tools/call", **params)
    assert answer["result"]["got"] == first["got"]
    await longhaul.only_job()


async def test_a_job_with_a_key_is_kept_like_any_other(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    client = plain(longhaul, http)
    await client.call("echo", meta=K)
    await client.call("echo")
    plainly, keyed = await longhaul.jobs()
    store, retention = longhaul.runtime.store, longhaul.runtime.retention
    kept = {each.id: (await store.score(DUE, each.id) or 0) for each in (plainly, keyed)}
    assert round(kept[keyed.id] - keyed.finished_at) == retention.completed
    assert round(kept[plainly.id] - plainly.finished_at) == retention.answered


async def test_many_at_once_are_held_for_one_run(
    longhaul: Router, backend: LegacyHttp, http: httpx2.AsyncClient
) -> None:
    client = plain(longhaul, http)
    calls = [asyncio.create_task(client.call("wait", meta=K)) for _ in range(20)]
    await backend.waiting.wait()
    backend.released.set()
    assert [answer["content"] for answer in await asyncio.gather(*calls)] == [DONE] * 20
    job = await longhaul.only_job()
    assert job.claims == 1


async def test_the_key_of_another_call_is_refused(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    client = plain(longhaul, http)
    await client.call("echo", {"a": 1}, meta=K)
    job = await longhaul.only_job()
    for tool, arguments in (("echo", {"a": 2}), ("pid", {"a": 1})):
        answer = await client.request("tools/call", tool=tool, arguments=arguments, meta=K)
        assert answer["error"]["code"] == -32602
        assert job.id in answer["error"]["message"]
    await longhaul.only_job()


@pytest.mark.parametrize("key", ["", "two words", "k" * 256, 7, None, ["k"]])
async def test_a_key_that_is_none_is_refused(
    longhaul: Router, http: httpx2.AsyncClient, key: Any
) -> None:
    answer = await plain(longhaul, http).request("tools/call", tool="echo", meta={KEY: key})
    if key is None:
        assert "result" in answer
    else:
        assert answer["error"]["code"] == -32602
        assert KEY in answer["error"]["message"]


async def let_go(longhaul: Router, job: str) -> bool:
    """Its ingress has acted upon the loss of the client."""
    events = await longhaul.runtime.store.events(job)
    return any(event.name == "handed_off" for event in events)


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_who_lost_the_connection_asks_again(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path, era: str
) -> None:
    async with router(tmp_path, backend_url, answering=SOON) as longhaul:
        if era == "modern":
            call = asyncio.create_task(http.post(longhaul.url, **modern_call("wait", meta=K)))
            await backend.waiting.wait()
            call.cancel()
        else:
            client = await legacy(longhaul, http)
            async with client.call("wait", request_id=7, _meta=K):
                await backend.waiting.wait()
        job = await longhaul.only_job()
        await until_answered(lambda: let_go(longhaul, job.id))
        assert (await longhaul.only_job()).cancel_at == 0
        again = asyncio.create_task(plain(longhaul, http).call("wait", meta=K))
        backend.released.set()
        assert (await again)["content"] == DONE
        done = await longhaul.only_job()
        assert (done.state, done.claims, done.cancel_at) == (JobState.COMPLETED, 1, 0)


async def test_after_a_hand_off_the_key_finds_it_and_nothing_else_does(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=HASTY) as longhaul:
        client = plain(longhaul, http)
        job = (await client.call("wait", meta=K))["_meta"][JOB]["id"]
        again = await client.call("wait", meta=K)
        assert again["_meta"][JOB]["id"] == job
        assert "identical" not in again["content"][0]["text"]
        others = [await client.call("wait", meta={KEY: "other"}), await client.call("wait")]
        assert len({job, *(other["_meta"][JOB]["id"] for other in others)}) == 3
        backend.released.set()


async def test_a_task_that_is_asked_for_again_is_the_same_task(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=HASTY) as longhaul:
        client = TaskClient(http, longhaul.url)
        first = await client.call("wait", meta=K)
        again = await client.call("wait", meta=K)
        assert first["resultType"] == again["resultType"] == "task"
        assert first["taskId"] == again["taskId"]
        params = {"name": "wait", "task": {}, "_meta": K}
        answer = await legacy_request(await legacy(longhaul, http), "tools/call", **params)
        assert answer["result"]["task"]["taskId"] == first["taskId"]
        backend.released.set()
        assert (await client.until(first["taskId"]))["result"]["content"] == DONE


async def test_a_cancelled_job_stays_what_its_key_means(
    longhaul: Router, backend: LegacyHttp, http: httpx2.AsyncClient
) -> None:
    call = asyncio.create_task(plain(longhaul, http).request("tools/call", tool="wait", meta=K))
    await backend.waiting.wait()
    job = await longhaul.only_job()
    await longhaul.ingress.cancel.cancel(job.id, "enough")
    again = await plain(longhaul, http).request("tools/call", tool="wait", meta=K)
    assert (await call)["error"] == again["error"]
    assert again["error"]["data"] == {"job": job.id}
