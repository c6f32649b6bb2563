"""A cancelled tool that does not let go: it counts as running, and then what the operator says."""

import asyncio
from pathlib import Path

import pytest

from common.jobs.indexes import owner_index
from common.jobs.state import JobState
from tests.support.journal import Journal
from tests.support.logbook import lines
from tests.support.system import OpenSystem, System, gated
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def replica_pid(system: System) -> int:
    (lease,) = [each for each in await system.store.leases() if each.info["role"] == "worker"]
    return int(lease.info["backends"][0]["replicas"][0]["pid"] or 0)


async def test_until_its_grace_is_over_a_silent_tool_counts_as_running(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    """It has the only slot and the only place; the next job runs when it counts as let go."""
    log = tmp_path / "log"
    backend = gated(concurrency=1, grace=1.5)
    async with system_on(backend) as system, system.worker({"b": 1}):
        job = await system.submit(
            log=str(log), label="deaf", gate=str(tmp_path / "gate"), deaf=True
        )
        await until(lambda: lines(log))
        began = asyncio.get_running_loop().time()
        await system.cancel(job)
        head = await system.head(job)
        assert (head.state, head.still_running) == (JobState.CANCELLED, True)
        await until(lambda: "deaf cancelled" in lines(log))
        assert await system.store.count(owner_index(head.owner)) == 1
        second = await system.submit(log=str(log), label="second")
        assert (await system.ended(second)).state is JobState.COMPLETED
        assert asyncio.get_running_loop().time() - began >= 1.5
        assert not (await system.head(job)).still_running


async def test_a_tool_that_answers_has_let_go(system_on: OpenSystem, tmp_path: Path) -> None:
    """Long before its grace is over."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on(gated(grace=600)) as system, system.worker():
        job = await system.submit(log=str(log), gate=str(gate), deaf=True)
        await until(lambda: lines(log))
        await system.cancel(job)
        await until(lambda: "cancelled" in lines(log))
        assert (await system.head(job)).still_running
        gate.touch()
        await system.until_head(job, lambda head: not head.still_running)


async def test_a_stuck_tool_costs_its_replica_when_the_operator_says_so(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    """Not before the other call on it has ended, which is not disturbed."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    backend = gated(grace=0.2, on_stuck="restart")
    async with system_on(backend) as system, system.worker():
        stuck = await system.submit(
            log=str(log), label="stuck", gate=str(tmp_path / "never"), deaf=True
        )
        other = await system.submit(log=str(log), label="other", gate=str(gate))
        await until(lambda: len(lines(log)) == 2)
        await system.cancel(stuck)
        await until(lambda: said.of("backend.tool_stuck"))
        await until(lambda: said.of("backend.replica_retires"))
        assert (await system.head(stuck)).still_running
        waiting = await system.submit(log=str(log), label="waiting")
        gate.touch()
        assert (await system.ended(other)).state is JobState.COMPLETED
        await system.until_head(stuck, lambda head: not head.still_running)
        head = await system.ended(waiting, seconds=30)
        assert (head.state, head.tries) == (JobState.COMPLETED, 1)
        assert len(said.of("backend.replica_ready")) == 2
    assert "stuck finished" not in lines(log)
