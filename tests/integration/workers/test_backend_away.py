"""A backend that is not up: its jobs wait with a reason, cost no try, and run when it comes."""

import shlex
import sys
from pathlib import Path

import pytest

from common.config.model import Backend, Clocks, ToolRule
from common.jobs.change import Done
from common.jobs.head import Spec, StoredCall
from common.jobs.ids import new_job_id
from common.jobs.state import JobState
from common.jobs.transitions import Submission, submit
from tests.support.journal import Journal
from tests.support.logbook import lines
from tests.support.system import BACKENDS, CALLER, OpenSystem, System, gated
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_jobs_wait_for_their_backend(system_on: OpenSystem, tmp_path: Path) -> None:
    log, switch = tmp_path / "log", tmp_path / "switch"
    async with system_on(switched(switch)) as system:
        await learned(system, switch)
        async with system.worker({"b": 1}):
            job = await system.submit(log=str(log))
            head = await system.until_head(job, lambda head: head.reason != "")
            assert head.reason == "backend b is not up on the worker that took it"
            assert (head.state, head.tries, head.claims) == (JobState.QUEUED, 0, 0)
            switch.touch()
            head = await system.ended(job, seconds=30)
            assert (head.state, head.tries) == (JobState.COMPLETED, 1)
    assert lines(log) == ["started", "finished"]


async def test_the_slots_of_a_dead_backend_are_free_for_others(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    """One queue carries both; nothing of the living one waits for the dead one."""
    log, switch = tmp_path / "log", tmp_path / "switch"
    rules = {"a__*": ToolRule(queue="both"), "b__*": ToolRule(queue="both")}
    backends = gated("a"), switched(switch)
    async with system_on(*backends, tools=rules) as system:
        await learned(system, switch)
        async with system.worker({"both": 1}):
            dead = [await system.submit(log=str(log)) for _ in range(5)]
            for job in dead:
                await system.until_head(job, lambda head: head.generation > 1)
            living = await system.submit("a__work", log=str(log))
            assert (await system.ended(living, seconds=5)).state is JobState.COMPLETED


async def test_a_cancelled_job_of_a_dead_backend_leaves_the_queue(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    switch = tmp_path / "switch"
    async with system_on(switched(switch)) as system:
        await learned(system, switch)
        async with system.worker({"b": 1}):
            job = await system.submit(log=str(tmp_path / "log"))
            await system.until_head(job, lambda head: head.generation > 1)
            await system.cancel(job)
            await until(lambda: said.of("token.released", job_id=job, why="already cancelled"))


async def test_a_parked_job_keeps_its_queue_time(system_on: OpenSystem, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    rules = {"b__*": ToolRule(timeout=Clocks(queue=0.8))}
    async with system_on(switched(switch), tools=rules) as system:
        await learned(system, switch)
        async with system.worker({"b": 1}):
            job = await system.submit(log=str(tmp_path / "log"))
            head = await system.ended(job)
            assert (head.state, head.tries) == (JobState.FAILED, 0)
            assert "parked" in await system.events(job)


async def test_a_job_of_a_backend_that_nobody_knows_waits_with_that_reason(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    """Its worker was configured without it; another job of the queue runs meanwhile."""
    async with system_on() as system, system.worker({"b": 1}):
        await system.offered("b__work")
        spec = Spec(backend="gone", backend_tool="work", tool_version="v", priority=4)
        job = await created(system, spec)
        await system.publish(job)
        head = await system.until_head(job, lambda head: head.reason != "")
        assert head.reason == "backend gone is not configured on the worker that took it"
        other = await system.submit(log=str(tmp_path / "log"))
        assert (await system.ended(other)).state is JobState.COMPLETED


async def created(system: System, spec: Spec) -> str:
    """A record that was accepted; nothing is published for it."""
    call = StoredCall(arguments={})
    submission = Submission(tool="b__work", queue="b", caller=CALLER, spec=spec, call=call)
    job = new_job_id(round(system.runtime.clock.now() * 1000))
    change = submit(submission, await system.store.now())
    assert isinstance(await system.store.commit(job, change, version=0), Done)
    return job


async def learned(system: System, switch: Path) -> None:
    """The catalogue knows the tools of the backend from a time when it was up."""
    switch.touch()
    async with system.worker():
        await system.offered("b__work")
    switch.unlink()


def switched(switch: Path) -> Backend:
    """A backend that comes up only while the file exists."""
    program = shlex.join([sys.executable, str(BACKENDS / "gated.py")])
    script = f"test -e {shlex.quote(str(switch))} && exec {program}"
    return replace_command(gated(), "sh", ("-c", script))


def replace_command(backend: Backend, command: str, args: tuple[str, ...]) -> Backend:
    return backend.model_copy(update={"command": command, "args": args})
