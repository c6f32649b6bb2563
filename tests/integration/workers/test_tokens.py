"""A token is a wake-up and never the truth: whatever comes, the record decides."""

from dataclasses import replace
from pathlib import Path

import pytest

from common.brokers.rabbitmq.topology import Names
from common.config.model import Retention
from common.jobs.endings import RAW
from common.jobs.head import Head
from common.jobs.ids import new_job_id
from common.jobs.indexes import state_index
from common.jobs.state import JobState
from common.jobs.token import TOKEN_FORMAT, Token, ToolRef, encode_token
from common.jobs.transitions import park
from common.leftovers import collect_leftovers
from common.publishing import token_of
from tests.support.journal import Journal
from tests.support.logbook import lines
from tests.support.rabbitmq import delete_queue, put_raw
from tests.support.system import OpenSystem, Place, System, open_system
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio


async def test_bytes_that_are_no_token_become_a_dead_letter(
    distributed_place: Place, tmp_path: Path
) -> None:
    """With the bytes as they came; and the next job runs."""
    raw = b'{"v":1,"job":'
    place = distributed_place
    async with open_system(place.settings()) as system, system.worker({"b": 1}):
        await system.offered("b__work")
        await put_raw(place.broker_url, Names(namespace=place.namespace).jobs, "b", raw)
        dead = await dead_letter(system)
        assert (dead.queue, dead.reason[:11]) == ("b", "not a token")
        assert await system.store.part(dead.id, RAW) == raw
        job = await system.submit(log=str(tmp_path / "log"))
        assert (await system.ended(job)).state is JobState.COMPLETED


async def test_a_young_token_without_a_record_becomes_a_dead_letter(
    system_on: OpenSystem,
) -> None:
    async with system_on() as system, system.worker({"b": 1}):
        token = stray(system)
        await system.runtime.broker.publish("b", token, 4)
        dead = await dead_letter(system)
        raw = await system.store.part(dead.id, RAW)
        assert raw is not None
        assert token.job.encode() in raw


async def test_an_old_token_without_a_record_is_forgotten(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    """Published longer ago than the shortest retention: its record may have been removed."""
    kept = Retention(answered=0.0)
    async with system_on(retention=kept) as system:
        token = stray(system)
        await system.runtime.broker.publish("b", token, 4)
        published = system.runtime.clock.now()
        # The age is in whole seconds where the broker stamps it.
        await until(lambda: system.runtime.clock.now() > published + 1.1)
        async with system.worker({"b": 1}):
            await until(lambda: said.of("token.released", job_id=token.job))
            job = await system.submit(log=str(tmp_path / "log"))
            assert (await system.ended(job)).state is JobState.COMPLETED
        assert await system.store.count(state_index(JobState.DEAD)) == 0


async def test_a_token_of_an_older_generation_runs_nothing(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on() as system, system.worker({"b": 1}):
        first = await system.submit(log=str(log), gate=str(gate))
        await until(lambda: lines(log))
        job = await system.submit(log=str(log), label="second")
        head = await system.head(job)
        parked = park(head, 0, "as if it had come from a lane")
        await system.store.commit(job, parked, version=head.version)
        await system.publish(job)
        gate.touch()
        await until(lambda: said.of("token.released", job_id=job, why="a newer token exists"))
        for each in (first, job):
            assert (await system.ended(each)).state is JobState.COMPLETED
    assert lines(log).count("second started") == 1


async def test_the_token_of_a_newer_longhaul_is_left_for_it(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    """To a lane and back until a worker that can read it takes it; the slot stays free."""
    async with system_on() as system, system.worker({"b": 1}):
        newer = replace(stray(system), format=TOKEN_FORMAT + 1)
        await system.runtime.broker.publish("b", newer, 9)
        job = await system.submit(log=str(tmp_path / "log"))
        assert (await system.ended(job)).state is JobState.COMPLETED
        assert await system.store.count(state_index(JobState.DEAD)) == 0


@pytest.mark.parametrize("last_stop", ["dead", "unrouted"])
async def test_what_the_broker_gave_up_on_is_collected(
    last_stop: str, distributed_place: Place, tmp_path: Path
) -> None:
    """Bytes become a dead letter; the token of a job that waits goes back to its queue."""
    place = distributed_place
    exchange = f"{place.namespace}.v1.{last_stop}"
    async with open_system(place.settings()) as system:
        async with system.worker():
            await system.offered("b__work")
        job = await system.submit(log=str(tmp_path / "log"))
        head = await system.until_head(job, lambda head: head.confirmed == 1)
        await delete_queue(place.broker_url, place.namespace, "b")
        token = encode_token(token_of(head, generation=1, version=head.version))
        for raw in (token, b"nonsense"):
            await put_raw(place.broker_url, exchange, "b", raw)
        assert await collect_leftovers(system.runtime) == 2
        dead = await dead_letter(system)
        assert await system.store.part(dead.id, RAW) == b"nonsense"
        depth = await system.runtime.broker.depth("b")
        assert depth is not None
        assert depth.ready == 1
        async with system.worker():
            assert (await system.ended(job)).state is JobState.COMPLETED
        assert await collect_leftovers(system.runtime) == 0


async def test_a_token_that_names_no_job_is_none(distributed_place: Place) -> None:
    """A whole one otherwise: nothing that asks the store for its record may trip over it."""
    raw = b'{"v":1,"job":"","generation":1,"version":1,"tool":["b","work","v"]}'
    place = distributed_place
    async with open_system(place.settings()) as system, system.worker({"b": 1}):
        await system.offered("b__work")
        await put_raw(place.broker_url, Names(namespace=place.namespace).jobs, "b", raw)
        assert (await dead_letter(system)).reason[:11] == "not a token"


async def dead_letter(system: System) -> Head:
    async def look() -> list[Head]:
        page = await system.store.page(state_index(JobState.DEAD), limit=2)
        return list(page.heads)

    (dead,) = await until_answered(look)
    return dead


def stray(system: System) -> Token:
    """A well-formed token of a job that is not stored."""
    job = new_job_id(round(system.runtime.clock.now() * 1000))
    ref = ToolRef(backend="b", tool="work", version="v")
    return Token(job=job, generation=1, version=1, tool=ref)
