"""Schedules on the real broker and store, and embedded: on time, once, and not before."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from common.clock import SystemClock
from common.jobs.change import Now
from common.jobs.head import Head
from common.jobs.state import JobState
from common.reconciler import Reconciler
from common.store.base import JobStore
from ingress.caller import Caller
from ingress.operations.wanted import Wanted
from tests.support.logbook import started
from tests.support.system import CALLER, OpenSystem, Place, System, open_system, running
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

LATE = 1_000  # ms at most


class Ahead(SystemClock):
    @override
    def now(self) -> float:
        return super().now() + 3_600


@dataclass
class Looked:
    """A store, and how often what is due in it was asked for."""

    store: JobStore
    times: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def due(self, limit: int) -> Sequence[Head]:
        self.times += 1
        return await self.store.due(limit)


async def scheduled(system: System, ms: int, log: Path, label: str = "x", **more: object) -> str:
    arguments = {"log": str(log), "label": label}
    return await system.submit_with("b__work", arguments, run_at=Now(ms), **more)


async def test_it_runs_on_time(system_on: OpenSystem, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with system_on() as system, system.worker():
        await system.ended(await system.submit(log=str(log)))  # everything is up
        job = await scheduled(system, 1_500, log)
        head = await system.head(job)
        assert (head.state, head.confirmed) == (JobState.HELD, 0)
        await system.until_ready("b", 0)
        ended = await system.ended(job)
        assert ended.state is JobState.COMPLETED
        assert 0 <= ended.started_at - head.run_at <= LATE
        assert await system.events(job) == ["scheduled", "released", "claimed", "completed"]


async def test_many_for_one_moment_are_all_on_time(system_on: OpenSystem, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with system_on() as system:
        async with system.worker():
            await system.offered("b__work")
        at = await system.store.now() + 2_000
        jobs = await asyncio.gather(
            *(
                system.submit_with("b__work", {"log": str(log), "label": f"{n}"}, run_at=at)
                for n in range(100)
            )
        )
        for job in jobs:
            head = await system.until_head(job, lambda head: not head.not_before)
            assert 0 <= head.queued_at - at <= LATE


async def test_a_process_whose_clock_is_ahead_looks_no_more_often(
    distributed_place: Place, tmp_path: Path
) -> None:
    """The time of a schedule is the store's."""
    async with open_system(distributed_place.settings()) as system:
        async with system.worker():
            await system.offered("b__work")
        await scheduled(system, 600_000, tmp_path / "log")
        looked = Looked(system.store)
        runtime: Any = replace(system.runtime, store=looked, clock=Ahead())
        begin = await system.store.now()
        async with running(Reconciler(runtime).run()):

            async def over() -> bool:
                return await system.store.now() > begin + 2_000

            await until_answered(over)
        assert 0 < looked.times <= 4


async def test_a_cancelled_one_never_runs(system_on: OpenSystem, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with system_on() as system, system.worker():
        job = await scheduled(system, 1_000, log)
        after = await scheduled(system, 1_200, log, "after")
        page = await system.ingress.read.list(
            Caller(name=CALLER), Wanted(state=JobState.HELD, tool="b__work"), limit=10
        )
        assert {head.id for head in page.heads} == {job, after}
        assert await system.cancel(job)
        await system.ended(after)
        assert (await system.head(job)).state is JobState.CANCELLED
        assert started(log) == ["after"]


async def test_the_same_key_is_the_same_schedule(system_on: OpenSystem, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with system_on() as system, system.worker():
        job = await scheduled(system, 500, log, key="k")
        assert await scheduled(system, 60_000, log, key="k") == job
        await system.ended(job)
        assert await scheduled(system, 60_000, log, key="k") == job
        assert started(log) == ["x"]


async def test_two_equal_calls_for_later_are_two_jobs(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with system_on() as system, system.worker():
        jobs = {await scheduled(system, 300, log, attachable=True) for _ in range(2)}
        for job in jobs:
            await system.ended(job)
        assert started(log) == ["x", "x"]
