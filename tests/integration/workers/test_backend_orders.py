"""What operators order about backends reaches every worker, also one that starts later."""

from pathlib import Path

import pytest

from common.errors import TOOL_GONE, NotFoundError, StillServedError
from common.jobs.state import JobState
from ingress.operations import backends
from tests.integration.workers.test_breakers import reason_of
from tests.support.journal import Journal
from tests.support.logbook import lines
from tests.support.system import OpenSystem, request
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_disabled_backend_gets_no_calls_until_it_is_enabled(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on() as system:
        async with system.worker():
            running = await system.submit(log=str(log), label="running", gate=str(gate))
            await until(lambda: lines(log))
            await backends.disable(system.ingress, "b", "ann")
            await until(lambda: said.of("queue.paused", queue="b"))
            job = await system.submit(log=str(log), label="later")
            assert "backend b is disabled by ann since" in await reason_of(system, job)
            gate.touch()
            assert (await system.ended(running)).state is JobState.COMPLETED
        async with system.worker():  # it starts later, and obeys
            await until(lambda: len(said.of("backend.replica_ready")) == 2, seconds=30)
            await system.until_ready("b", 1)
            assert (await system.head(job)).claims == 0
            await backends.enable(system.ingress, "b", "ann")
            assert (await system.ended(job, seconds=30)).state is JobState.COMPLETED
    assert lines(log)[-2:] == ["later started", "later finished"]


async def test_a_restart_waits_for_the_calls_that_run(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on() as system, system.worker():
        job = await system.submit(log=str(log), gate=str(gate))
        await until(lambda: lines(log))
        await backends.restart(system.ingress, "b", "ann", at_once=False)
        await until(lambda: said.of("backend.replica_retires"))
        assert len(said.of("backend.replica_ready")) == 1
        gate.touch()
        assert (await system.ended(job)).state is JobState.COMPLETED
        await until(lambda: len(said.of("backend.replica_ready")) == 2, seconds=30)
    async with system_on() as system, system.worker():
        # The order stands in the store: a worker that starts later has done it by starting.
        again = await system.submit(log=str(log))
        assert (await system.ended(again, seconds=30)).state is JobState.COMPLETED
        assert len(said.of("backend.replica_ready")) == 3


async def test_a_restart_at_once_waits_for_nothing(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with system_on() as system, system.worker():
        job = await system.submit(log=str(log), gate=str(tmp_path / "gate"))
        await until(lambda: lines(log))
        await backends.restart(system.ingress, "b", "ann", at_once=True)
        assert (await system.ended(job, seconds=30)).state is JobState.LOST
        await until(lambda: len(said.of("backend.replica_ready")) == 2, seconds=30)


async def test_the_logs_of_a_backend_come_from_every_worker(
    system_on: OpenSystem, said: Journal
) -> None:
    async with system_on() as system, system.worker() as lease:
        await until(lambda: said.of("backend.replica_ready"), seconds=30)
        system.ingress.fleet.forget()
        (found,) = await backends.logs(system.ingress, "b", 10)
        assert (found.worker.lease, found.lines) == (lease, [])


async def test_a_forgotten_backend_leaves_nothing_that_waits(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    async with system_on() as system:
        async with system.worker():
            done = await system.submit(log=str(tmp_path / "log"))
            assert (await system.ended(done)).state is JobState.COMPLETED
            with pytest.raises(StillServedError, match="worker-"):
                await backends.forget(system.ingress, "b", "ann")
            assert "b__work" in system.ingress.feed.current.tools
        waiting = [await system.submit(log="unused") for _ in range(3)]
        await backends.disable(system.ingress, "b", "ann")
        forgotten = await backends.forget(system.ingress, "b", "ann")
        assert (forgotten.tools, forgotten.failed) == (4, 3)
        for job in waiting:
            assert (await system.ended(job)).state is JobState.FAILED
            told = {"code": TOOL_GONE, "message": "its backend b was forgotten by ann"}
            assert await system.result(job) == told
        await until(lambda: not system.ingress.feed.current.tools)
        with pytest.raises(NotFoundError, match="Unknown tool: b__work"):
            await system.ingress.submit.accept(request("b__work", {}))
        with pytest.raises(NotFoundError, match="no backend b"):
            await backends.forget(system.ingress, "b", "ann")
        assert (await system.head(done)).state is JobState.COMPLETED
        async with system.worker():  # it is configured again: nothing stands in its way
            again = await system.submit(log=str(tmp_path / "log"))
            assert (await system.ended(again, seconds=30)).state is JobState.COMPLETED
