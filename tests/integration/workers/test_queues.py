"""Which job starts when, and where: priorities, slots, and one queue per backend or pattern."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from common.config.model import ToolRule
from common.jobs.state import JobState
from tests.support.journal import Journal
from tests.support.logbook import at_once, lines, started
from tests.support.system import OpenSystem, System, gated
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_a_job_of_priority_8_overtakes_one_of_2(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on() as system, system.worker({"b": 1}):
        first = await system.submit(log=str(log), label="first", gate=str(gate))
        await until(lambda: lines(log))
        jobs = [first]
        for priority in (2, 8):
            arguments = {"log": str(log), "label": f"p{priority}"}
            jobs.append(await system.submit_with("b__work", arguments, priority=priority))
        gate.touch()
        await all_completed(system, jobs)
    assert started(log) == ["first", "p8", "p2"]


async def test_a_worker_runs_no_more_jobs_than_it_has_slots(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on(gated(concurrency=8)) as system, system.worker({"b": 2}):
        jobs = [await system.submit(log=str(log), gate=str(gate)) for _ in range(6)]
        await until(lambda: len(lines(log)) == 2)
        await system.until_ready("b", 4)
        assert lines(log) == ["started"] * 2
        gate.touch()
        await all_completed(system, jobs)
    assert at_once(lines(log)) == 2


async def test_a_duplicate_token_runs_nothing_and_takes_no_slot(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on(gated(concurrency=8)) as system, system.worker({"b": 2}):
        job = await system.submit(log=str(log), label="twice", gate=str(gate))
        await until(lambda: lines(log))
        for _ in range(3):
            await system.publish(job)
            await system.until_ready("b", 0)
        others = [await system.submit(log=str(log), label=f"other {n}") for n in range(3)]
        await all_completed(system, others)
        gate.touch()
        await all_completed(system, [job])
        assert (await system.head(job)).claims == 1
        await system.publish(job)
        await system.until_ready("b", 0)
    assert lines(log).count("twice started") == 1


async def test_a_duplicate_of_a_job_that_has_the_only_place_waits_for_none(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on(gated(concurrency=1)) as system, system.worker({"b": 2}):
        job = await system.submit(log=str(log), gate=str(gate))
        await until(lambda: lines(log))
        await system.publish(job)
        await until(lambda: said.of("token.adopted", job_id=job), seconds=3)
        gate.touch()
        await all_completed(system, [job, await system.submit(log=str(log))])


async def test_every_backend_has_a_queue_and_a_pattern_may_have_its_own(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    """A worker takes the jobs of its queues, and leaves the others for those who serve them."""
    log = str(tmp_path / "log")
    rules = {"b__sa*": ToolRule(queue="special")}
    async with system_on(gated("a"), gated("b"), tools=rules) as system:
        async with system.worker({"special": 1}):
            await system.offered("b__safe")
            jobs = [await system.submit(tool, log=log) for tool in ("b__work", "b__safe")]
            assert (await system.ended(jobs[1])).queue == "special"
            await system.until_ready("b", 1)
            assert (await system.head(jobs[0])).state is JobState.QUEUED
        async with system.worker({"a": 1, "b": 1}):
            jobs.append(await system.submit("a__work", log=log))
            await all_completed(system, jobs)
            assert [(await system.head(job)).queue for job in jobs] == ["b", "special", "a"]


async def all_completed(system: System, jobs: Sequence[str]) -> None:
    for job in jobs:
        assert (await system.ended(job)).state is JobState.COMPLETED
