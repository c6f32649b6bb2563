"""A paused queue: nothing of it starts, on later workers either, until it goes on."""

from pathlib import Path

import pytest

from common.errors import NotFoundError
from common.jobs.state import JobState
from ingress.operations import queues
from tests.integration.workers.test_breakers import reason_of
from tests.support.journal import Journal
from tests.support.logbook import at_once, lines
from tests.support.system import OpenSystem, gated
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def test_nothing_of_it_starts_until_it_goes_on(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on() as system:
        async with system.worker():
            running = await system.submit(log=str(log), label="running", gate=str(gate))
            await until(lambda: lines(log))
            await queues.pause(system.ingress, "b", "ann")
            await until(lambda: said.of("queue.paused", queue="b"))
            job = await system.submit(log=str(log), label="later")
            assert "queue b is paused by ann since" in await reason_of(system, job)
            gate.touch()
            assert (await system.ended(running)).state is JobState.COMPLETED
        async with system.worker():  # it starts later, and obeys
            await until(lambda: len(said.of("backend.replica_ready")) == 2, seconds=30)
            await system.until_ready("b", 1)
            assert (await system.head(job)).claims == 0
            await queues.resume(system.ingress, "b", "ann")
            assert (await system.ended(job, seconds=30)).state is JobState.COMPLETED
    assert lines(log)[-2:] == ["later started", "later finished"]


async def test_what_ran_before_keeps_its_slot_whichever_delivery_stands_for_it(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    """Also after a lost broker, where another worker has released the token of one of two."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on(gated(concurrency=8)) as system, system.worker({"b": 2}):
        jobs = [await system.submit(log=str(log), gate=str(gate)) for _ in range(2)]
        await until(lambda: len(lines(log)) == 2)
        await queues.pause(system.ingress, "b", "ann")
        await until(lambda: said.of("queue.paused", queue="b"))
        await queues.resume(system.ingress, "b", "ann")
        await system.publish(jobs[0])
        await until(lambda: said.of("token.adopted", job_id=jobs[0]))
        jobs.append(await system.submit(log=str(log), gate=str(gate)))
        head = await system.until_head(jobs[2], lambda head: head.reason != "", seconds=20)
        assert head.reason == "the worker that took it has no free slot"
        gate.touch()
        for job in jobs:
            assert (await system.ended(job, seconds=20)).state is JobState.COMPLETED
    assert at_once(lines(log)) == 2


async def test_a_queue_that_nobody_knows_is_not_paused(system_on: OpenSystem) -> None:
    async with system_on() as system:
        for order in (queues.pause, queues.resume):
            with pytest.raises(NotFoundError, match="no queue exports"):
                await order(system.ingress, "exports", "ann")
