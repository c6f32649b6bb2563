"""A backend that fails again and again: its jobs wait and cost no try, the others' run."""

from pathlib import Path
from typing import Any

import pytest

from common.config.model import Retry, ToolRule
from common.jobs.state import JobState
from ingress.operations.explain import Situation, waiting_because
from ingress.operations.fleet import fleet_of
from tests.support.journal import Journal
from tests.support.logbook import lines
from tests.support.system import OpenSystem, System, gated
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

ONCE = Retry(attempts=1)


async def reason_of(system: System, job: str) -> str:
    now = await system.store.now()
    fleet = fleet_of(await system.store.leases(), await system.store.orders.all())
    head = await system.head(job)
    return waiting_because(head, Situation(now=now, fleet=fleet, position=0)) or ""


async def fail(system: System, count: int, **arguments: Any) -> None:
    """So many calls that take the backend's process with them, one after the other."""
    for _ in range(count):
        job = await system.submit(then="crash", **arguments)
        assert (await system.ended(job, seconds=30)).state is JobState.LOST


async def test_a_queue_of_one_backend_is_not_consumed_while_its_breaker_is_open(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    backend = gated(breaker={"failures": 2, "cooldown": 6.0})
    async with system_on(backend) as system, system.worker():
        await fail(system, 2, log=str(log))
        await until(lambda: said.of("breaker.opened"))
        await until(lambda: said.of("queue.paused", queue="b"))
        job = await system.submit(log=str(log), label="after")
        await system.until_ready("b", 1)

        async def told() -> bool:
            return "gets no calls until" in await reason_of(system, job)

        await until_answered(told)
        head = await system.head(job)
        assert (head.state, head.claims, head.generation) == (JobState.QUEUED, 0, 1)
        head = await system.ended(job, seconds=30)
        assert (head.state, head.tries) == (JobState.COMPLETED, 1)
        assert len(said.of("queue.served", queue="b")) == 2
    assert "after finished" in lines(log)


async def test_a_shared_queue_is_consumed_on(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    """What is for the failing backend is parked with the reason; the other's jobs run."""
    log = tmp_path / "log"
    rules = {"a__*": ToolRule(queue="both"), "b__*": ToolRule(queue="both", retry=ONCE)}
    backends = gated("a"), gated("b", breaker={"failures": 2, "cooldown": 4.0})
    async with system_on(*backends, tools=rules) as system, system.worker({"both": 2}):
        await fail(system, 2, log=str(log))
        await until(lambda: said.of("breaker.opened"))
        job = await system.submit(log=str(log), label="after")
        head = await system.until_head(job, lambda head: head.generation > 1)
        assert "backend b gets no calls until" in head.reason
        assert (head.state, head.tries) == (JobState.QUEUED, 0)
        other = await system.submit("a__work", log=str(log), label="other")
        assert (await system.ended(other)).state is JobState.COMPLETED
        assert not said.of("queue.paused")
        head = await system.ended(job, seconds=30)
        assert (head.state, head.tries) == (JobState.COMPLETED, 1)


async def test_tool_errors_open_no_breaker(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    backend = gated(breaker={"failures": 1, "cooldown": 60.0})
    async with system_on(backend) as system, system.worker():
        for then in ("tool error", "refuse"):
            job = await system.submit(log=str(tmp_path / "log"), then=then)
            await system.ended(job)
        assert not said.of("breaker.opened")
        job = await system.submit(log=str(tmp_path / "log"))
        assert (await system.ended(job)).state is JobState.COMPLETED
