"""A worker's process is killed, or stands still, while its tools run."""

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from common.config.model import Queue, Settings, ToolRule
from common.jobs.state import JobState
from tests.support.journal import Journal
from tests.support.logbook import lines
from tests.support.system import Place, System, open_system
from tests.support.waiting import until
from tests.support.worker_process import worker_process

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("said")]


@pytest.fixture
def settings(distributed_place: Place) -> Settings:
    # No slot is left beside the two jobs: a token would wait in the hands of who stands still.
    return distributed_place.settings(
        tools={"b__safe": ToolRule(repeatable=True)}, queues={"b": Queue(slots=2)}
    )


@pytest.mark.parametrize("cleared", [True, False], ids=["parent lives", "machine gone"])
async def test_a_killed_workers_jobs(settings: Settings, tmp_path: Path, *, cleared: bool) -> None:
    """What may run again does, on another worker; what may not is lost, and never started again.

    The parent that sees its worker die releases the lease; without one it lapses.
    """
    logs, gate = [tmp_path / "unsafe", tmp_path / "safe"], tmp_path / "gate"
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "worker") as process:
            jobs = await both_running(system, logs, gate)
            if cleared:
                process.kill()
            process.kill_all()
        async with system.worker():
            unsafe, safe = [
                await system.until_head(
                    job, lambda head: head.state is JobState.LOST or head.claims == 2, seconds=30
                )
                for job in jobs
            ]
            assert unsafe.state is JobState.LOST
            gate.touch()
            assert (await system.ended(safe.id)).state is JobState.COMPLETED
            for job in jobs:
                await system.publish(job)
                await system.look_now(job)
    assert lines(logs[0]).count("started") == 1
    assert lines(logs[1]).count("started") == 2


async def test_a_worker_that_stood_still_is_fenced(
    settings: Settings, said: Journal, tmp_path: Path
) -> None:
    """It goes on when its lease is long gone: a late result of its own, or nothing."""
    logs, gate = [tmp_path / "unsafe", tmp_path / "safe"], tmp_path / "gate"
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "worker") as process:
            unsafe, safe = await both_running(system, logs, gate)
            process.signal(signal.SIGSTOP)
            await system.store.release((await system.head(unsafe)).owner)
            async with system.worker():
                await system.in_state(unsafe, JobState.LOST)
                await system.until_head(safe, lambda head: head.claims == 2)
                gate.touch()
                second = await system.in_state(safe, JobState.COMPLETED)
                process.signal(signal.SIGCONT)
                head = await system.in_state(unsafe, JobState.COMPLETED)
                assert (head.claims, head.lost_at > 0) == (1, True)
                assert await system.head(safe) == second
    assert said.of("job.owner_died") == said.of("job.fenced") == []
    assert lines(logs[0]) == ["started", "finished"]


async def both_running(system: System, logs: Sequence[Path], gate: Path) -> list[str]:
    """One job that may not run twice and one that may, in the middle of their tools."""
    await until(lambda: "b__work" in system.ingress.feed.current.tools, seconds=30)
    jobs = [
        await system.submit(tool, log=str(log), gate=str(gate))
        for tool, log in zip(("b__work", "b__safe"), logs, strict=True)
    ]
    await until(lambda: all(lines(log) for log in logs))
    return jobs
