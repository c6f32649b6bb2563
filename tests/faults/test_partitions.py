"""A worker, or an ingress, is cut off from the broker or from the store; everybody else is not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from common.config.model import ToolRule
from common.jobs.indexes import ALL
from common.jobs.state import JobState
from tests.support.journal import Journal
from tests.support.links import Link, linked
from tests.support.logbook import lines
from tests.support.system import Place, System, open_system
from tests.support.waiting import until, until_answered

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("said")]

TOOLS = {"b__safe": ToolRule(repeatable=True)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parted:
    """The same deployment twice: as most see it, and as one process sees it over its links."""

    there: System
    here: System
    broker: Link
    store: Link


@asynccontextmanager
async def parted(place: Place) -> AsyncIterator[Parted]:
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(linked(place.broker_url))
        store = await stack.enter_async_context(linked(place.store_url))
        over_links = replace(place, broker_url=broker.url, store_url=store.url)
        there = await stack.enter_async_context(open_system(place.settings(tools=TOOLS)))
        here = await stack.enter_async_context(open_system(over_links.settings(tools=TOOLS)))
        yield Parted(there=there, here=here, broker=broker, store=store)


async def test_cut_off_from_the_broker_a_worker_finishes_what_it_runs(
    distributed_place: Place, tmp_path: Path
) -> None:
    """Its token goes to another worker, which finds the job running, and later ended."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with parted(distributed_place) as parts, parts.here.worker():
        job = await parts.there.submit(log=str(log), gate=str(gate))
        await until(lambda: lines(log))
        parts.broker.cut()
        async with parts.there.worker():
            gate.touch()
            head = await parts.there.settled(job)
            assert (head.state, head.claims) == (JobState.COMPLETED, 1)
            other = await parts.there.submit(log=str(log))
            assert (await parts.there.settled(other)).state is JobState.COMPLETED
        parts.broker.mend()
        third = await parts.there.submit(log=str(log))
        assert (await parts.there.settled(third, seconds=20)).state is JobState.COMPLETED
    assert lines(log).count("started") == 3


async def test_a_short_cut_from_the_store_costs_nothing(
    distributed_place: Place, said: Journal, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with parted(distributed_place) as parts, parts.here.worker():
        job = await parts.there.submit(log=str(log), gate=str(gate))
        await until(lambda: lines(log))
        parts.store.cut()
        gate.touch()
        await until(lambda: said.of("job.unsettled", job_id=job))
        parts.store.mend()
        head = await parts.there.settled(job)
        assert (head.state, head.claims, head.tries) == (JobState.COMPLETED, 1, 1)
    assert lines(log) == ["started", "finished"]


async def test_long_cut_off_from_the_store_a_worker_is_fenced(
    distributed_place: Place, tmp_path: Path
) -> None:
    """What may run again does elsewhere; what may not ends by its own late finish."""
    logs, gate = [tmp_path / "unsafe", tmp_path / "safe"], tmp_path / "gate"
    async with parted(distributed_place) as parts, parts.here.worker():
        unsafe = await parts.there.submit(log=str(logs[0]), gate=str(gate))
        safe = await parts.there.submit("b__safe", log=str(logs[1]), gate=str(tmp_path / "never"))
        await until(lambda: lines(logs[0]) and lines(logs[1]))
        parts.store.hold()
        async with parts.there.worker():
            await parts.there.in_state(unsafe, JobState.LOST, seconds=30)
            await parts.there.until_head(safe, lambda head: head.claims == 2, seconds=30)
            gate.touch()  # the tool has ended, and its worker cannot say so
            await until(lambda: "finished" in lines(logs[0]))
            parts.store.let_flow()
            head = await parts.there.in_state(unsafe, JobState.COMPLETED)
            assert (head.claims, head.lost_at > 0) == (1, True)
            (tmp_path / "never").touch()
            assert (await parts.there.settled(safe)).claims == 2
    assert lines(logs[0]) == ["started", "finished"]


async def test_a_submission_whose_confirm_is_lost_runs_once(
    distributed_place: Place, tmp_path: Path
) -> None:
    """Its caller is not told; it asks again with the same key, and has the same job."""
    log = tmp_path / "log"
    call = {"log": str(log)}
    async with parted(distributed_place) as parts:
        async with parts.there.worker():
            await parts.here.offered("b__work")
        parts.broker.hold_answers()
        first = asyncio.create_task(parts.here.submit_with("b__work", call, key="k"))

        async def stored() -> bool:
            return await parts.there.store.count(ALL) == 1

        await until_answered(stored)
        await parts.there.until_ready("b", 1)  # it is there, only the confirm is not
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        parts.broker.cut()
        parts.broker.mend()
        parts.broker.let_flow()
        job = await parts.here.submit_with("b__work", call, key="k")
        async with parts.there.worker():
            assert (await parts.there.settled(job)).state is JobState.COMPLETED
            await parts.there.until_ready("b", 0)
        assert await parts.there.store.count(ALL) == 1
    assert lines(log) == ["started", "finished"]
