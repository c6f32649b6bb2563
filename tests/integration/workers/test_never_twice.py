"""A worker or a backend is lost in mid-call: what may not run twice does not, whatever happens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.config.model import Retry, ToolRule
from common.errors import OUTCOME_UNKNOWN
from common.jobs.head import Head
from common.jobs.state import JobState
from common.reconciler import Reconciler
from tests.support.journal import Journal
from tests.support.logbook import lines
from tests.support.system import OpenSystem, System, gated
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

AGAIN = {"b__*": ToolRule(retry=Retry(attempts=2, first=0.0, max=0.0), repeatable=True)}


async def test_a_backend_that_dies_in_mid_call_leaves_a_loss(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on() as system, system.worker():
        job = await system.submit(log=str(log), gate=str(gate), then="crash")
        await until(lambda: lines(log))
        gate.touch()
        head = await system.ended(job)
        assert (head.state, head.tries, head.owner) == (JobState.LOST, 1, "")
        assert (await system.result(job))["code"] == OUTCOME_UNKNOWN
        # The backend comes up again, and runs what comes next.
        assert (await system.ended(await system.submit(log=str(log)))).state is JobState.COMPLETED
        await system.publish(job)
        await system.look_now(job)
    assert lines(log) == ["started", "started", "finished"]


async def test_a_repeatable_job_runs_again_on_the_new_backend(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    async with system_on(tools=AGAIN) as system, system.worker():
        job = await system.submit(log=str(tmp_path / "log"), then="crash once")
        head = await system.ended(job)
        assert (head.state, head.tries) == (JobState.COMPLETED, 2)


async def test_a_tool_that_always_kills_its_backend_becomes_a_dead_letter(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with system_on(tools=AGAIN) as system, system.worker():
        job = await system.submit(log=str(log), then="crash")
        head = await system.ended(job)
        assert (head.state, head.tries) == (JobState.DEAD, 2)
    assert lines(log) == ["started"] * 2


@pytest.mark.parametrize(("trusted", "state"), [(True, "completed"), (False, "lost")])
async def test_only_a_trusted_backends_annotations_make_a_tool_repeatable(
    *, trusted: bool, state: str, system_on: OpenSystem, tmp_path: Path
) -> None:
    rules = {"b__*": ToolRule(retry=Retry(attempts=2, first=0.0, max=0.0))}
    async with system_on(gated(trusted=trusted), tools=rules) as system, system.worker():
        job = await system.submit("b__safe", log=str(tmp_path / "log"), then="crash once")
        assert (await system.ended(job)).state == state


async def test_the_lease_of_a_working_worker_is_released(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    """Lost, and not started again anywhere; its own late finish makes it completed."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on() as system, two_workers(system) as leases:
        job = await system.submit(log=str(log), gate=str(gate))
        await until(lambda: lines(log))
        head = await released(system, job, leases)
        assert head.state is JobState.LOST
        await system.publish(job)
        gate.touch()
        head = await system.in_state(job, JobState.COMPLETED)
        assert (head.claims, head.lost_at > 0) == (1, True)
        assert await system.events(job) == ["submitted", "claimed", "lost", "completed"]
    assert lines(log) == ["started", "finished"]


async def test_a_late_death_leaves_a_loss_as_it_was(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    """The backend of a lost job dies, too: nothing is known that was not known before."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on() as system, system.worker() as lease:
        job = await system.submit(log=str(log), gate=str(gate), then="crash")
        await until(lambda: lines(log))
        await released(system, job, [lease])
        gate.touch()
        await until(lambda: said.of("job.fenced", job_id=job))
        assert (await system.head(job)).state is JobState.LOST
        # The slot is free again.
        assert (await system.ended(await system.submit(log=str(log)))).state is JobState.COMPLETED


async def test_a_repeatable_job_of_a_released_worker_runs_elsewhere_and_the_first_is_fenced(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on(tools=AGAIN) as system, two_workers(system) as leases:
        job = await system.submit(log=str(log), gate=str(gate), deaf=True)
        await until(lambda: lines(log))
        await released(system, job, leases)
        await until(lambda: lines(log).count("started") == 2)
        gate.touch()
        head = await system.ended(job)
        assert (head.state, head.claims, head.tries) == (JobState.COMPLETED, 2, 2)
        await until(lambda: said.of("job.fenced", job_id=job, claim=1))
        assert (await system.events(job)).count("completed") == 1


async def test_a_worker_gets_its_own_job_again(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    """Its first run is stopped, its second is the one that counts, and no slot is lost."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on(tools=AGAIN) as system, system.worker({"b": 2}) as lease:
        job = await system.submit(log=str(log), gate=str(gate))
        await until(lambda: lines(log))
        await released(system, job, [lease])
        await until(lambda: lines(log).count("started") == 2)
        await until(lambda: said.of("job.fenced", job_id=job, claim=1))
        gate.touch()
        assert (await system.ended(job)).claims == 2
        jobs = [await system.submit(log=str(log)) for _ in range(3)]
        for each in jobs:
            assert (await system.ended(each)).state is JobState.COMPLETED


@asynccontextmanager
async def two_workers(system: System) -> AsyncIterator[list[str]]:
    async with system.worker() as one, system.worker() as two:
        yield [one, two]


async def released(system: System, job: str, leases: list[str]) -> Head:
    """Release its owner's lease until that was noticed: the worker beats on meanwhile."""
    claims = (await system.head(job)).claims

    async def noticed() -> Head | None:
        head = await system.head(job)
        if head.state is JobState.RUNNING and head.claims == claims:
            assert head.owner in leases
            await system.store.release(head.owner)
            await Reconciler(system.runtime).sweep()
            return None
        return head

    found = await until_answered(noticed)
    assert found is not None
    return found
