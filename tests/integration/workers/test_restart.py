"""What stands in the store when a process comes back: jobs and the catalogue."""

from pathlib import Path

import pytest

from common.config.model import ToolRule
from common.errors import OUTCOME_UNKNOWN
from common.jobs.change import Done
from common.jobs.state import JobState
from common.jobs.transitions import claim
from tests.support.logbook import lines
from tests.support.system import OpenSystem, Place, System, open_system
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

RULES = {"b__safe": ToolRule(repeatable=True)}
PREDECESSOR = "worker-of-a-process-that-was-killed"


async def test_an_embedded_router_goes_on_where_its_predecessor_died(
    embedded_place: Place, tmp_path: Path
) -> None:
    """What waited runs, what ran and may run again does, and the rest is lost, not run again."""
    log = tmp_path / "log"
    settings = embedded_place.settings(tools=RULES)
    async with open_system(settings) as system:
        async with system.worker():
            await system.offered("b__work")
        lost = await running(system, "b__work", log, "lost")
        again = await running(system, "b__safe", log, "again")
        waited = [await system.submit(log=str(log), label=f"waited {n}") for n in range(3)]
    async with open_system(settings) as system, system.worker():
        head = await system.ended(lost)
        assert (head.state, head.tries) == (JobState.LOST, 1)
        assert (await system.result(lost))["code"] == OUTCOME_UNKNOWN
        head = await system.ended(again)
        assert (head.state, head.tries) == (JobState.COMPLETED, 2)
        for job in waited:
            assert (await system.ended(job)).state is JobState.COMPLETED
    labels = sorted(line for line in lines(log) if line.endswith("started"))
    assert labels == ["again started", *(f"waited {n} started" for n in range(3))]


async def test_an_embedded_router_keeps_the_order_of_its_queue(
    embedded_place: Place, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with open_system(embedded_place.settings()) as system:
        async with system.worker():
            await system.offered("b__work")
        for priority in (2, 8, 2, 4):
            arguments = {"log": str(log), "label": f"p{priority}"}
            await system.submit_with("b__work", arguments, priority=priority)
    async with open_system(embedded_place.settings()) as system, system.worker({"b": 1}):
        await until(lambda: len(lines(log)) == 8)
    labels = [line for line in lines(log) if line.endswith("started")]
    assert labels == ["p8 started", "p4 started", "p2 started", "p2 started"]


async def test_calls_wait_while_no_worker_is_there(system_on: OpenSystem, tmp_path: Path) -> None:
    """The catalogue outlives its workers; what is called meanwhile runs when one comes."""
    log = tmp_path / "log"
    async with system_on() as system:
        async with system.worker():
            await system.offered("b__work")
        assert not any(lease.alive for lease in await system.store.leases() if worker(lease.id))
        jobs = [await system.submit(log=str(log)) for _ in range(2)]
        async with system.held(log=str(log)) as (held, watch):
            assert "b__work" in system.ingress.feed.current.tools
            assert [(await system.head(job)).state for job in jobs] == [JobState.QUEUED] * 2
            async with system.worker():
                for job in (*jobs, held):
                    assert (await system.ended(job)).state is JobState.COMPLETED
                assert watch.end is not None
    assert lines(log).count("started") == 3


async def running(system: System, tool: str, log: Path, label: str) -> str:
    """A job that ran in a process which is gone, without a word, from one moment to the next."""
    job = await system.submit(tool, log=str(log), label=label)
    await system.store.beat(PREDECESSOR, {})
    head = await system.head(job)
    answer = await system.store.commit(job, claim(PREDECESSOR), version=head.version)
    assert isinstance(answer, Done)
    return job


def worker(lease: str) -> bool:
    return lease.startswith("worker")
