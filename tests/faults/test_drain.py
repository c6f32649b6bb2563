"""A worker that is asked to stop: what runs ends well, what waits runs elsewhere, uncounted."""

import asyncio
import signal
from pathlib import Path

import pytest

from common.config.model import Queue, Settings, ToolRule
from common.jobs.state import JobState
from common.routing.rules import Rules
from common.runtime import new_lease, open_runtime
from tests.support.logbook import lines
from tests.support.ports import free_port
from tests.support.system import Place, System, gated, open_system, running
from tests.support.waiting import until, until_answered
from tests.support.worker_process import worker_process
from workers.worker import Worker

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("said")]

JOBS = 60
SAFE = ToolRule(repeatable=True)


def settings_of(place: Place, *, drain: float) -> Settings:
    return place.settings(
        gated("b", concurrency=8),
        tools={"b__safe": SAFE},
        queues={"b": Queue(slots=8)},
        drain=drain,
    )


async def test_each_worker_in_turn_under_load(distributed_place: Place, tmp_path: Path) -> None:
    """Nothing is lost, no try is counted, and every job runs exactly once."""
    settings, log = settings_of(distributed_place, drain=60.0), tmp_path / "log"
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "first") as first:
            await serving(system, 1)
            jobs = [
                await system.submit(
                    ("b__work", "b__safe")[number % 2],
                    log=str(log),
                    label=str(number),
                    gate=str(tmp_path / f"gate{number}"),
                )
                for number in range(JOBS)
            ]
            await until(lambda: len(lines(log)) >= 8)
            with worker_process(settings, tmp_path / "second") as second:
                await serving(system, 2)
                first.parent.send_signal(signal.SIGTERM)
                await until(lambda: "worker.drains" in first.log.read_text(), seconds=30)
                open_gates(tmp_path, JOBS // 2)
                await until_left(system, 1)
                assert first.parent.wait(60) == 0
                with worker_process(settings, tmp_path / "third"):
                    await serving(system, 2)
                    second.parent.send_signal(signal.SIGTERM)
                    open_gates(tmp_path, JOBS)
                    heads = [await system.settled(job, seconds=60) for job in jobs]
                    assert second.parent.wait(60) == 0
    assert {(head.state, head.tries, head.claims) for head in heads} == {(JobState.COMPLETED, 1, 1)}
    for number in range(JOBS):
        assert lines(log).count(f"{number} started") == 1


async def test_past_the_deadline_what_may_run_again_goes_back_and_the_rest_runs_on(
    distributed_place: Place, tmp_path: Path
) -> None:
    settings, gate = settings_of(distributed_place, drain=0.5), tmp_path / "gate"
    logs = {tool: tmp_path / tool for tool in ("b__work", "b__safe")}
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "first") as first:
            await serving(system, 1)
            unsafe, safe = [
                await system.submit(tool, log=str(log), gate=str(gate))
                for tool, log in logs.items()
            ]
            await until(lambda: all(map(lines, logs.values())))
            first.parent.send_signal(signal.SIGTERM)
            back = await system.until_head(safe, lambda head: head.generation > 1, seconds=30)
            assert (back.state, back.tries) == (JobState.QUEUED, 0)
            assert "its worker was stopped" in back.reason
            assert (await system.head(unsafe)).state is JobState.RUNNING
            async with system.worker():
                await system.until_head(safe, lambda head: head.claims == 2, seconds=30)
                gate.touch()
                heads = [await system.settled(job, seconds=30) for job in (unsafe, safe)]
                assert first.parent.wait(30) == 0
    assert [(head.state, head.tries) for head in heads] == [(JobState.COMPLETED, 1)] * 2
    assert lines(logs["b__work"]) == ["started", "finished"]


async def test_a_second_signal_ends_it_and_what_may_not_run_again_is_lost(
    distributed_place: Place, tmp_path: Path
) -> None:
    settings, log = settings_of(distributed_place, drain=1.5), tmp_path / "log"
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "first") as first:
            await serving(system, 1)
            job = await system.submit(log=str(log), gate=str(tmp_path / "gate"))
            await until(lambda: lines(log))
            first.parent.send_signal(signal.SIGTERM)
            await until(lambda: "worker.drain_over" in first.log.read_text(), seconds=30)
            assert (await system.head(job)).state is JobState.RUNNING
            first.parent.send_signal(signal.SIGTERM)
            head = await system.in_state(job, JobState.LOST, seconds=30)
            assert head.tries == 1
            first.parent.wait(30)


async def test_one_that_never_reached_its_store_ends_all_the_same(tmp_path: Path) -> None:
    settings = Settings(store_url=f"redis://127.0.0.1:{free_port()}", data=str(tmp_path))
    async with open_runtime(settings) as runtime:
        worker = Worker(runtime, new_lease("worker"), Rules(settings), {})
        async with running(worker.run()), asyncio.timeout(settings.drain / 2):
            await worker.drain()


async def serving(system: System, count: int) -> None:
    """So many workers take jobs."""

    async def so_many() -> bool:
        leases = [each.info for each in await system.store.leases() if each.alive]
        taking = [info for info in leases if info["role"] == "worker" and not info["draining"]]
        return len(taking) == count

    await until(lambda: "b__work" in system.ingress.feed.current.tools, seconds=60)
    await until_answered(so_many, seconds=60)


async def until_left(system: System, count: int) -> None:
    async def so_many() -> bool:
        leases = await system.store.leases()
        return len([each for each in leases if each.info["role"] == "worker"]) == count

    await until_answered(so_many, seconds=60)


def open_gates(folder: Path, count: int) -> None:
    for number in range(count):
        (folder / f"gate{number}").touch()
