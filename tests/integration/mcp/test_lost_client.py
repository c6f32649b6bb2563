"""What a lost client means for its job: the table of DESIGN 9, a test per row, over HTTP."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from common.config.model import Answering
from common.jobs.head import Head
from common.jobs.state import JobState
from tests.support.backends.legacy_http import LegacyHttp
from tests.support.routers import LegacyClient, Router, last_message, modern_call, router
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

SOON = Answering(abandon_after=0.2, orphan_ttl=0.2)
LATER = Answering(abandon_after=15.0, orphan_ttl=900.0)
KEEP = {"*": {"on_disconnect": "keep"}}


@pytest.fixture(params=["modern", "legacy"])
def era(request: pytest.FixtureRequest) -> str:
    era: str = request.param
    return era


async def call_and_leave(
    longhaul: Router, backend: LegacyHttp, http: httpx2.AsyncClient, era: str
) -> LegacyClient | None:
    """Call the tool that waits, and close the connection once it runs."""
    if era == "modern":
        call = asyncio.create_task(http.post(longhaul.url, **modern_call("wait")))
        await backend.waiting.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        return None
    client = LegacyClient(http, longhaul.url)
    await client.initialize()
    async with client.call("wait", request_id=7):
        await backend.waiting.wait()
    return client


async def let_go(longhaul: Router) -> Head:
    """The job, once its ingress has acted upon the loss of the client."""

    async def handed_off() -> Head | None:
        return next((job for job in await longhaul.jobs() if job.handed_off), None)

    job = await until_answered(handed_off)
    assert job is not None
    return job


async def told_to_stop(backend: LegacyHttp) -> None:
    await until(lambda: any(each.is_set() for each in backend.cancelled.values()))


def due_in(job: Head, longhaul: Router) -> float:
    """Seconds until the job is cancelled unless somebody comes."""
    return job.cancel_at / 1000 - longhaul.runtime.clock.now()


async def test_an_explicit_cancel_cancels(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url) as longhaul:
        client = LegacyClient(http, longhaul.url)
        await client.initialize()
        async with client.call("wait", request_id=7) as response:
            await backend.waiting.wait()
            other = await client.post("notifications/cancelled", {"requestId": 8})
            assert other.status_code == 202
            assert (await longhaul.only_job()).state is JobState.RUNNING
            await client.post("notifications/cancelled", {"requestId": 7, "reason": "enough"})
            body = (await response.aread()).decode()
        assert "error" in last_message(body)
        job = await longhaul.until_state(JobState.CANCELLED)
        assert job.reason == "cancelled by the client"
        await told_to_stop(backend)


async def test_the_end_of_a_session_cancels(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url) as longhaul:
        client = LegacyClient(http, longhaul.url)
        await client.initialize()
        async with client.call("wait", request_id=7):
            await backend.waiting.wait()
            assert (await client.delete()).status_code == 200
            await longhaul.until_state(JobState.CANCELLED)
        await told_to_stop(backend)
        assert (await client.post("tools/list", id=8)).status_code == 404


async def test_a_closed_stream_abandons_for_a_while(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=LATER) as longhaul:
        await call_and_leave(longhaul, backend, http, "modern")
        job = await let_go(longhaul)
        assert job.state is JobState.RUNNING
        assert 10 < due_in(job, longhaul) <= 15


async def test_a_lost_connection_orphans_for_longer(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=LATER) as longhaul:
        await call_and_leave(longhaul, backend, http, "legacy")
        job = await let_go(longhaul)
        assert job.state is JobState.RUNNING
        assert 890 < due_in(job, longhaul) <= 900
        backend.released.set()
        done = await longhaul.until_state(JobState.COMPLETED)
        assert not done.answered
        assert await longhaul.ingress.read.result(done)


async def test_nobody_comes_and_the_tool_is_stopped(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path, era: str
) -> None:
    async with router(tmp_path, backend_url, answering=SOON) as longhaul:
        await call_and_leave(longhaul, backend, http, era)
        job = await longhaul.until_state(JobState.CANCELLED)
        assert job.reason == "nobody waited for it any more"
        await told_to_stop(backend)


async def test_a_tool_that_is_kept_goes_on(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path, era: str
) -> None:
    async with router(tmp_path, backend_url, answering=SOON, tools=KEEP) as longhaul:
        await call_and_leave(longhaul, backend, http, era)
        assert (await let_go(longhaul)).cancel_at == 0
        backend.released.set()
        await longhaul.until_state(JobState.COMPLETED)


async def test_a_tool_that_is_kept_can_be_cancelled(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, tools=KEEP) as longhaul:
        client = LegacyClient(http, longhaul.url)
        await client.initialize()
        async with client.call("wait", request_id=7):
            await backend.waiting.wait()
            await client.post("notifications/cancelled", {"requestId": 7})
            await longhaul.until_state(JobState.CANCELLED)


@pytest.mark.parametrize("asked_first", [False, True], ids=["gone before", "goes then"])
async def test_a_process_that_is_asked_to_stop_stays_for_nobody_who_has_gone(
    backend: LegacyHttp,
    backend_url: str,
    http: httpx2.AsyncClient,
    tmp_path: Path,
    asked_first: bool,
) -> None:
    """What the loss means for the job is as without the stop."""
    async with router(tmp_path, backend_url, answering=LATER) as longhaul:
        client = LegacyClient(http, longhaul.url)
        await client.initialize()
        async with client.call("wait", request_id=7):
            await backend.waiting.wait()
            if asked_first:
                longhaul.endpoint.end_streams()
        await let_go(longhaul)
        if not asked_first:
            assert longhaul.ingress.follower.following == 1
            longhaul.endpoint.end_streams()
        await until(lambda: longhaul.ingress.follower.following == 0)
        job = await longhaul.only_job()
        assert job.state is JobState.RUNNING
        assert 800 < due_in(job, longhaul) <= 900


async def test_after_a_lost_connection_an_explicit_cancel_still_cancels(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    brief = Answering(call_wait=0.5)
    async with router(tmp_path, backend_url, answering=brief) as longhaul:
        client = await call_and_leave(longhaul, backend, http, "legacy")
        assert client is not None
        await let_go(longhaul)
        await asyncio.sleep(0.7)  # past the end of its wait, which means nothing any more
        await client.post("notifications/cancelled", {"requestId": 7})
        await longhaul.until_state(JobState.CANCELLED)
        await told_to_stop(backend)


async def test_once_the_id_was_given_out_a_lost_client_means_nothing(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    brief = Answering(call_wait=0.1, abandon_after=0.1, orphan_ttl=0.1)
    async with router(tmp_path, backend_url, answering=brief) as longhaul:
        client = LegacyClient(http, longhaul.url)
        await client.initialize()
        answer = await client.post("tools/call", {"name": "wait"}, id=7)
        assert "longhaul jobs wait" in answer.text
        await client.delete()
        assert (await longhaul.only_job()).cancel_at == 0
        backend.released.set()
        await longhaul.until_state(JobState.COMPLETED)


async def test_a_job_that_waits_in_the_queue_is_let_go_too(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path, era: str
) -> None:
    async with router(tmp_path, backend_url, answering=SOON, slots=1) as longhaul:
        first = asyncio.create_task(http.post(longhaul.url, **modern_call("wait")))
        await backend.waiting.wait()
        if era == "modern":
            second: Any = asyncio.create_task(http.post(longhaul.url, **modern_call("wait")))
            await until_answered(lambda: two_jobs(longhaul))
            second.cancel()
        else:
            client = LegacyClient(http, longhaul.url)
            await client.initialize()
            async with client.call("wait", request_id=7):
                await until_answered(lambda: two_jobs(longhaul))

        async def cancelled() -> bool:
            return (await longhaul.jobs())[0].state is JobState.CANCELLED

        await until_answered(cancelled)
        backend.released.set()
        assert "done" in (await first).text


async def two_jobs(longhaul: Router) -> bool:
    return len(await longhaul.jobs()) == 2


async def test_a_stop_of_the_ingress_gives_the_id_out(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path, era: str
) -> None:
    async with router(tmp_path, backend_url) as longhaul:
        client = LegacyClient(http, longhaul.url)
        await client.initialize()
        request = (
            http.post(longhaul.url, **modern_call("wait"))
            if era == "modern"
            else client.post("tools/call", {"name": "wait"}, id=7)
        )
        call = asyncio.create_task(request)
        await backend.waiting.wait()
        longhaul.endpoint.stop()
        job = await longhaul.only_job()
        assert f"longhaul jobs wait {job.id}" in (await call).text
        backend.released.set()
        assert (await longhaul.until_state(JobState.COMPLETED)).cancel_at == 0


async def test_a_handler_that_is_cut_off_leaves_the_job_running(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path, era: str
) -> None:
    """The endpoint ends with a call under way: its own doing is nobody's wish to cancel."""
    async with router(tmp_path, backend_url) as longhaul:
        client = LegacyClient(http, longhaul.url)
        await client.initialize()
        request = (
            http.post(longhaul.url, **modern_call("wait"))
            if era == "modern"
            else client.post("tools/call", {"name": "wait"}, id=7)
        )
        call = asyncio.create_task(request)
        await backend.waiting.wait()
        await longhaul.cut_off()
        job = await let_go(longhaul)
        assert (job.state, job.cancel_at) == (JobState.RUNNING, 0)
        backend.released.set()
        await longhaul.until_state(JobState.COMPLETED)
        await asyncio.gather(call, return_exceptions=True)


async def test_who_leaves_while_the_record_is_written_is_noticed(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=LATER) as longhaul:
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # nobody else can write
            call = asyncio.create_task(http.post(longhaul.url, **modern_call("wait")))
            await until(lambda: longhaul.ingress.follower.following)
            call.cancel()
            await asyncio.wait([call])
            await until(lambda: not longhaul.ingress.follower.following)
            other.execute("ROLLBACK")
        assert 10 < due_in(await let_go(longhaul), longhaul) <= 15
