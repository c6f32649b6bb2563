"""The release window on the real broker and store, and embedded: at most so many tokens wait."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from common import releasing
from common.config.model import Queue
from common.errors import RefusedError
from common.jobs.change import Done, Move
from common.jobs.head import Head
from common.jobs.indexes import held_index, window_index
from common.jobs.state import JobState
from common.releasing import LEAST, ReleaseWindow, window_of
from tests.support.ledger import touch
from tests.support.logbook import started
from tests.support.system import DUE_NOW, OpenSystem, System, request
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

MANY = 30


async def states(system: System, jobs: list[str]) -> Counter[JobState]:
    return Counter([(await system.head(job)).state for job in jobs])


async def until_queued(system: System, jobs: list[str]) -> None:
    async def all_queued() -> bool:
        return await states(system, jobs) == {JobState.QUEUED: len(jobs)}

    await until_answered(all_queued)


async def cancelled(system: System, job: str) -> None:
    assert await system.cancel(job)


async def abandoned(system: System, job: str) -> None:
    head = await system.head(job)
    change = touch(fields={"cancel_at": 1}, due=DUE_NOW)
    assert isinstance(await system.store.commit(job, change, version=head.version), Done)


async def astray(system: System, heads: Sequence[Head], index: str) -> None:
    """Jobs that have ended stand in an index of those that wait."""
    for head in heads:
        now = await system.head(head.id)
        change = touch(moves=(Move(index, 4.0),))
        assert isinstance(await system.store.commit(head.id, change, version=now.version), Done)


@pytest.mark.parametrize(("slots", "tokens"), [(0, 8), (4, 8), (5, 10), (64, 128)])
def test_twice_the_slots_and_never_less_than_a_few(slots: int, tokens: int) -> None:
    assert window_of(slots) == tokens


async def test_all_of_a_flood_run_once_and_few_of_them_wait_at_the_broker(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with system_on() as system:
        async with system.worker():
            await system.offered("b__work")
        jobs = [await system.submit(log=str(log), label=str(n)) for n in range(MANY)]
        assert await states(system, jobs) == {JobState.QUEUED: LEAST, JobState.HELD: MANY - LEAST}
        await system.until_ready("b", LEAST)
        async with system.worker():
            for job in jobs:
                assert (await system.ended(job)).state is JobState.COMPLETED
        assert sorted(map(int, started(log))) == list(range(MANY))
        assert await system.events(jobs[-1]) == ["submitted", "released", "claimed", "completed"]


async def test_held_jobs_go_in_the_order_they_came_but_for_a_window(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with system_on() as system:
        async with system.worker():
            await system.offered("b__work")
        jobs = [await system.submit(log=str(log), label=str(n)) for n in range(MANY)]
        async with system.worker({"b": 1}):
            for job in jobs:
                await system.ended(job)
        order = list(map(int, started(log)))
        assert all(abs(place - n) <= LEAST for place, n in enumerate(order))


async def test_each_caller_has_a_window_of_its_own(system_on: OpenSystem, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with system_on() as system:
        async with system.worker():
            await system.offered("b__work")
        flood = [await system.submit(log=str(log), label="flood") for _ in range(MANY)]
        call = replace(request("b__work", {"log": str(log), "label": "other"}), caller="bob")
        after = (await system.ingress.submit.accept(call)).job
        assert (await system.head(after)).state is JobState.QUEUED
        async with system.worker({"b": 1}):
            for job in (*flood, after):
                await system.ended(job)
        assert started(log).index("other") <= LEAST


async def test_what_is_held_counts_against_the_limit_of_the_queue(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with system_on(queues={"b": Queue(max_waiting=LEAST + 2)}) as system:
        async with system.worker():
            await system.offered("b__work")
        for _ in range(LEAST + 2):
            await system.submit(log=str(log))
        with pytest.raises(RefusedError, match="queue b is full"):
            await system.submit(log=str(log))


@pytest.mark.parametrize("end", [cancelled, abandoned], ids=["by a caller", "by the clock"])
async def test_the_cancel_of_one_that_waits_lets_another_one_go(
    system_on: OpenSystem,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[System, str], Awaitable[None]],
) -> None:
    monkeypatch.setattr(releasing, "SWEEP", 1_000.0)
    log = tmp_path / "log"
    async with system_on() as system:
        async with system.worker():
            await system.offered("b__work")
        jobs = [await system.submit(log=str(log)) for _ in range(LEAST + 3)]
        for job in jobs[:LEAST]:
            await end(system, job)
        await until_queued(system, jobs[LEAST:])


async def test_room_that_strays_take_is_found(
    system_on: OpenSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries of jobs that wait no more, whatever left them there, stop nobody for long."""
    monkeypatch.setattr(releasing, "SWEEP", 0.2)
    log = tmp_path / "log"
    async with system_on() as system:
        async with system.worker():
            over = [await system.submit(log=str(log)) for _ in range(LEAST)]
            heads = [await system.ended(job) for job in over]
        names = heads[0].queue, heads[0].window, heads[0].tool
        await astray(system, heads, window_index(*names))
        jobs = [await system.submit(log=str(log)) for _ in range(3)]
        await until_queued(system, jobs)
        await astray(system, heads, held_index(*names))
        more = [await system.submit(log=str(log)) for _ in range(LEAST - 3)]
        await until_queued(system, [*jobs, *more])


async def test_more_slots_make_more_room(system_on: OpenSystem) -> None:
    async with system_on() as system, system.worker({"b": 20}):
        await system.offered("b__work")
        window = ReleaseWindow(system.runtime)
        assert window.limit("b") == LEAST
        await window.sweep()
        assert window.limit("b") == 40
