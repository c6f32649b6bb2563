"""Cancelled at once for everybody who looks, and the tool is told."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from common.config.model import Backend
from common.jobs.endings import RESULT, cancel
from common.jobs.state import JobState
from tests.support.backends.serving import program
from tests.support.logbook import lines
from tests.support.ports import free_port
from tests.support.system import BACKENDS, OpenSystem, Place, gated, open_system
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_running_job_is_cancelled_at_once_and_its_tool_is_told(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with system_on() as system, system.worker():
        job = await system.submit(log=str(log), gate=str(tmp_path / "gate"))
        await until(lambda: lines(log))
        assert await system.cancel(job)
        assert (await system.head(job)).state is JobState.CANCELLED
        await until(lambda: lines(log) == ["started", "cancelled"])
        head = await system.until_head(job, lambda head: not head.still_running)
        assert (head.owner, await system.events(job)) == ("", STORY)
        assert not await system.cancel(job)


STORY = ["submitted", "claimed", "cancelled", "let_go"]


async def test_a_cancelled_job_keeps_its_claim_until_its_worker_lets_go(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    """Between the commit and the worker's answer the slot is not free, and the record says so."""
    log = tmp_path / "log"
    async with system_on() as system, system.worker():
        job = await system.submit(log=str(log), gate=str(tmp_path / "gate"))
        await until(lambda: lines(log))
        head = await system.head(job)
        change = replace(cancel(head, "asked to", system.runtime.retention), wake_owner=False)
        await system.store.commit(job, change, version=head.version)
        head = await system.head(job)
        assert (head.state, head.still_running) == (JobState.CANCELLED, True)
        assert head.owner
        # Its worker did not hear of it: the next look at the record tells it again.
        await system.look_now(job)
        await until(lambda: "cancelled" in lines(log))
        await system.until_head(job, lambda head: not head.still_running)


async def test_a_result_after_the_cancel_is_dropped(system_on: OpenSystem, tmp_path: Path) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on() as system, system.worker():
        job = await system.submit(log=str(log), gate=str(gate), deaf=True)
        await until(lambda: lines(log))
        await system.cancel(job)
        gate.touch()
        await until(lambda: "finished" in lines(log))
        head = await system.until_head(job, lambda head: not head.still_running)
        assert head.state is JobState.CANCELLED
        assert await system.store.part(job, RESULT) is None


async def test_a_job_that_is_cancelled_in_the_queue_never_runs(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on() as system, system.worker({"b": 1}):
        first = await system.submit(log=str(log), label="first", gate=str(gate))
        await until(lambda: lines(log))
        second = await system.submit(log=str(log), label="second")
        third = await system.submit(log=str(log), label="third")
        assert await system.cancel(second)
        head = await system.head(second)
        assert (head.state, head.still_running) == (JobState.CANCELLED, False)
        gate.touch()
        for job in (first, third):
            assert (await system.ended(job)).state is JobState.COMPLETED
        assert await system.events(second) == ["submitted", "cancelled"]
    assert not any("second" in line for line in lines(log))


@pytest.fixture(params=["stdio", "http"])
def modern(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with modern_backend(request.param) as backend:
        yield backend


@contextmanager
def modern_backend(transport: str) -> Iterator[Backend]:
    script = str(BACKENDS / "modern.py")
    if transport == "stdio":
        yield Backend(name="m", command=sys.executable, args=(script, "stdio"))
        return
    port = free_port()
    with program("modern", port):
        yield Backend(name="m", transport="http", urls=(f"http://127.0.0.1:{port}/mcp",))


async def test_a_modern_backend_hears_of_it_too(
    modern: Backend, embedded_place: Place, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    async with open_system(embedded_place.settings(modern)) as system, system.worker():
        job = await system.submit("m__hang", mark=str(mark))
        await until(Path(f"{mark}.running").exists)
        await system.cancel(job)
        await until(Path(f"{mark}.cancelled").exists)
        head = await system.until_head(job, lambda head: not head.still_running)
        assert head.state is JobState.CANCELLED


async def test_cancelling_one_of_two_leaves_the_other(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    logs = [tmp_path / name for name in ("one", "two")]
    async with system_on(gated(concurrency=2)) as system, system.worker():
        one, two = [await system.submit(log=str(log), gate=str(gate)) for log in logs]
        await until(lambda: all(lines(log) for log in logs))
        await system.cancel(one)
        await until(lambda: "cancelled" in lines(logs[0]))
        gate.touch()
        assert (await system.ended(two)).state is JobState.COMPLETED
        assert lines(logs[1]) == ["started", "finished"]
