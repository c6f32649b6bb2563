"""The four clocks of a job, and what follows when one runs out."""

from pathlib import Path

import pytest

from common.config.model import Clocks, Retry, ToolRule
from common.errors import BACKEND_GONE, TIMED_OUT
from common.jobs.state import JobState
from tests.support.logbook import lines
from tests.support.system import OpenSystem
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

AT_ONCE = Retry(attempts=2, first=0.0, max=0.0)


@pytest.mark.parametrize("clock", ["idle", "run", "deadline"])
async def test_a_clock_ends_a_job_that_may_not_run_twice(
    clock: str, system_on: OpenSystem, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    rule = ToolRule(timeout=Clocks(**{clock: 0.3}), retry=AT_ONCE)
    async with system_on(tools={"b__*": rule}) as system, system.worker():
        job = await system.submit(log=str(log), gate=str(tmp_path / "gate"))
        head = await system.ended(job)
        assert (head.state, head.tries) == (JobState.FAILED, 1)
        assert (await system.result(job))["code"] == TIMED_OUT
        await until(lambda: lines(log) == ["started", "cancelled"])


@pytest.mark.parametrize("clock", ["idle", "run"])
async def test_a_clock_costs_a_repeatable_job_a_try(
    clock: str, system_on: OpenSystem, tmp_path: Path
) -> None:
    """Two tries in all, then a dead letter that says why."""
    log = tmp_path / "log"
    rule = ToolRule(timeout=Clocks(**{clock: 0.2}), retry=AT_ONCE, repeatable=True)
    async with system_on(tools={"b__*": rule}) as system, system.worker():
        job = await system.submit(log=str(log), gate=str(tmp_path / "gate"))
        head = await system.ended(job)
        assert (head.state, head.tries) == (JobState.DEAD, 2)
        assert (await system.result(job))["code"] == TIMED_OUT
        assert await system.events(job) == ["submitted", "claimed", "retried", "claimed", "dead"]
    assert lines(log).count("started") == 2


async def test_the_deadline_ends_a_repeatable_job_as_well(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    rule = ToolRule(timeout=Clocks(deadline=0.3), repeatable=True)
    async with system_on(tools={"b__*": rule}) as system, system.worker():
        job = await system.submit(log=str(tmp_path / "log"), gate=str(tmp_path / "gate"))
        head = await system.ended(job)
        assert (head.state, head.tries) == (JobState.FAILED, 1)
        assert await system.events(job) == ["submitted", "claimed", "failed"]


@pytest.mark.parametrize("clock", ["queue", "deadline"])
async def test_a_clock_runs_out_in_the_queue(
    clock: str, system_on: OpenSystem, tmp_path: Path
) -> None:
    """The second waits for the only slot too long; it never runs."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    rules = {"b__safe": ToolRule(queue="b", timeout=Clocks(**{clock: 0.1}))}
    async with system_on(tools=rules) as system, system.worker({"b": 1}):
        first = await system.submit(log=str(log), label="first", gate=str(gate))
        await until(lambda: lines(log))
        second = await system.submit("b__safe", log=str(log), label="second")
        head = await system.ended(second)
        assert (head.state, head.tries) == (JobState.FAILED, 0)
        assert (await system.result(second))["code"] == TIMED_OUT
        gate.touch()
        assert (await system.ended(first)).state is JobState.COMPLETED
    assert not any("second" in line for line in lines(log))


async def test_a_retry_waits_and_then_runs(system_on: OpenSystem, tmp_path: Path) -> None:
    """Between the tries nothing runs, the reason is on the record, and it is no dead letter."""
    log = tmp_path / "log"
    rule = ToolRule(retry=Retry(attempts=3, first=0.5, max=0.5), repeatable=True)
    async with system_on(tools={"b__*": rule}) as system, system.worker():
        job = await system.submit(log=str(log), then="crash once")
        head = await system.ended(job)
        assert (head.state, head.tries) == (JobState.COMPLETED, 2)
        events = {event.name: event for event in await system.store.events(job)}
        assert events["retried"].facts["error"]["code"] == BACKEND_GONE
        assert events["claimed"].at >= events["retried"].at + events["retried"].facts["delay_ms"]
