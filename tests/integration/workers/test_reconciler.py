"""What nobody else looks after: the reconciler does the one thing due."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from common.brokers.base import BrokerError
from common.config.model import Retention
from common.config.urls import sqlite_path
from common.jobs import decisions
from common.jobs.change import Done, Note
from common.jobs.head import Head
from common.jobs.ids import new_job_id
from common.jobs.state import JobState
from common.jobs.token import Token
from common.jobs.transitions import Submission, submit
from common.reconciler import Reconciler
from ingress.operations.call_request import Accepted, submission_of
from tests.support.journal import Journal
from tests.support.rabbitmq import delete_queue
from tests.support.system import OpenSystem, Place, System, open_system, request
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio


async def test_an_accepted_job_that_was_never_published_runs(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    """Its ingress died between the record and the token."""
    async with system_on() as system, system.worker():
        job = await stored_only(system, tmp_path / "log")
        await system.look_now(job)
        head = await system.ended(job)
        assert (head.state, head.confirmed) == (JobState.COMPLETED, 1)


async def test_jobs_run_although_their_queue_was_deleted(
    distributed_place: Place, tmp_path: Path
) -> None:
    place = distributed_place
    async with open_system(place.settings()) as system:
        async with system.worker():
            await system.offered("b__work")
        jobs = [await system.submit(log=str(tmp_path / "log")) for _ in range(3)]
        for job in jobs:
            await system.until_head(job, lambda head: head.confirmed == head.generation)
        await delete_queue(place.broker_url, place.namespace, "b")
        await system.look_now(*jobs)
        async with system.worker():
            for job in jobs:
                assert (await system.ended(job)).state is JobState.COMPLETED


async def test_a_queue_deleted_under_its_worker_is_served_again(
    distributed_place: Place, tmp_path: Path
) -> None:
    place = distributed_place
    async with open_system(place.settings()) as system, system.worker():
        await system.ended(await system.submit(log=str(tmp_path / "log")))
        await delete_queue(place.broker_url, place.namespace, "b")
        job = await system.submit(log=str(tmp_path / "log"))
        assert (await system.ended(job)).state is JobState.COMPLETED


async def test_a_token_that_was_lost_among_others_is_published_again(
    system_on: OpenSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its queue is never empty, and younger jobs run: its token is nowhere."""
    monkeypatch.setattr(decisions, "OVERTAKEN_MS", 0)
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on() as system, system.worker({"b": 1}) as worker:
        lost = await stored_only(system, log)
        await system.store.note(lost, Note(fields={"confirmed": 1}))
        stored = system.runtime.clock.now()
        # A broker's stamp is in whole seconds.
        await until(lambda: system.runtime.clock.now() > stored + 1.1)
        younger = [await system.submit(log=str(log), gate=str(gate)) for _ in range(2)]
        await system.in_state(younger[0], JobState.RUNNING)

        async def said() -> bool:
            leases = {lease.id: lease for lease in await system.store.leases()}
            return bool(leases[worker].info["queues"]["b"]["passings"])

        await until_answered(said)
        await system.until_ready("b", 1)
        await system.look_now(lost)
        await system.until_ready("b", 2)
        gate.touch()
        for job in (lost, *younger):
            assert (await system.ended(job)).state is JobState.COMPLETED


async def test_what_a_dead_ingress_never_published_is_handed_off_and_published_at_once(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    async with system_on() as system, system.worker({"b": 1}):
        job = await stored_only(system, tmp_path / "log", holder="nobody")
        await system.look_now(job)
        head = await system.ended(job)
        assert (head.state, head.handed_off, head.confirmed) == (JobState.COMPLETED, True, 1)


async def test_a_held_call_of_a_dead_ingress_is_handed_off(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    async with (
        system_on() as system,
        system.worker({"b": 1}),
        system.held(log=str(tmp_path / "log"), gate=str(gate)) as (running, _),
        system.held(log=str(tmp_path / "log")) as (queued, _),
    ):
        for job in (running, queued):
            head = await system.until_head(job, lambda head: head.confirmed == 1)
            assert (head.handed_off, head.holder) == (False, system.ingress.lease)
            head = await without_ingress(system, job)
            assert (head.handed_off, head.holder) == (True, "")
        gate.touch()
        for job in (running, queued):
            assert (await system.ended(job)).state is JobState.COMPLETED


async def test_what_is_over_is_removed_with_everything_of_it(place: Place, tmp_path: Path) -> None:
    none = Retention(answered=0.0, completed=0.0, failed=0.0, dead=0.0)
    async with open_system(place.settings(retention=none)) as system, system.worker():
        jobs = [
            await system.submit(log=str(tmp_path / "log")),
            await system.submit(log=str(tmp_path / "log"), then="refuse"),
            await system.submit(log=str(tmp_path / "log"), then="crash"),
        ]

        async def gone() -> bool:
            return [await system.store.get(job) for job in jobs] == [None] * 3

        await until_answered(gone)
        for job in jobs:
            assert traces(place, job) == []


async def test_only_what_was_answered_for_sure_is_kept_for_short(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log = str(tmp_path / "log")
    async with system_on() as system, system.worker():
        async with system.held(log=log) as (answered, _), system.held(log=log) as (unsure, _):
            handed_off = await system.submit(log=log)
            for job in (answered, unsure, handed_off):
                await system.ended(job)
            await system.store.note(answered, Note(fields={"answered": 1}))
        await system.look_now(answered, unsure)

        async def removed() -> bool:
            return await system.store.get(answered) is None

        await until_answered(removed)
        await system.until_head(unsure, lambda head: head.handed_off)
        assert (await system.events(unsure))[-1] == "kept"


async def test_a_sweep_survives_a_record_it_cannot_read(
    distributed_place: Place, tmp_path: Path
) -> None:
    """One odd record must not end the process, nor keep the others from being looked at."""
    place = distributed_place
    async with open_system(place.settings()) as system, system.worker():
        odd = await stored_only(system, tmp_path / "log")
        with redis.Redis.from_url(place.store_url) as store:
            head = f"{{{place.namespace}0}}:j:{odd}"
            spec = store.hget(head, "spec")
            assert isinstance(spec, bytes)
            store.hset(head, "spec", spec.replace(b"{", b'{"of_a_newer_version":1,', 1).decode())
        await system.look_now(odd)
        assert (await system.ended(odd)).state is JobState.COMPLETED


async def test_a_record_that_cannot_be_read_at_all_hides_no_other(
    distributed_place: Place, said: Journal, tmp_path: Path
) -> None:
    place = distributed_place
    async with open_system(place.settings()) as system, system.worker():
        odd, other = [await stored_only(system, tmp_path / "log") for _ in range(2)]
        key = f"{{{place.namespace}0}}:j:{odd}"
        with redis.Redis.from_url(place.store_url) as store:
            store.hset(key, "state", "resting")
            for job in (odd, other):
                store.zadd(f"{{{place.namespace}0}}:i:due", {job: 0})
            assert (await system.ended(other)).state is JobState.COMPLETED
            await until(lambda: said.of("record.unreadable", job_id=odd))
            store.hset(key, "state", "queued")
        assert (await system.ended(odd)).state is JobState.COMPLETED


async def test_a_broker_that_takes_nothing_is_tried_once_a_look(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind an alarm each try costs seconds; dead workers' jobs must not wait for them all."""
    refusing, tried = True, list[str]()

    async with open_system(place.settings()) as system, system.worker():
        publish = system.runtime.broker.publish

        async def refused(queue: str, token: Token, priority: int) -> None:
            tried.append(token.job)
            if refusing:
                raise BrokerError("not confirmed")
            await publish(queue, token, priority)

        monkeypatch.setattr(system.runtime.broker, "publish", refused)
        jobs = [await stored_only(system, tmp_path / "log") for _ in range(6)]
        await system.look_now(*jobs)
        assert 0 < len(tried) < len(jobs)
        refusing = False
        for job in jobs:
            assert (await system.ended(job, seconds=20)).state is JobState.COMPLETED


async def stored_only(system: System, log: Path, holder: str = "") -> str:
    """A job that is accepted and stored; no token was published for it."""
    await system.offered("b__work")
    call = request("b__work", {"log": str(log)})
    job = new_job_id(round(system.runtime.clock.now() * 1000))
    tool = system.ingress.submit.tool(call.tool)
    policy = system.rules.for_tool(tool.name, tool.backend, tool.backend_tool)
    accepted = Accepted.of(job, call, tool, policy)
    submission: Submission = submission_of(call, accepted, holder=holder, watcher="")
    change = submit(submission, await system.store.now())
    assert isinstance(await system.store.commit(job, change, version=0), Done)
    return job


async def without_ingress(system: System, job: str) -> Head:
    """The ingress's lease is released until that was noticed: it beats on meanwhile."""

    async def noticed() -> Head | None:
        await system.store.release(system.ingress.lease)
        await system.look_now(job)
        await Reconciler(system.runtime).sweep()
        head = await system.head(job)
        return head if head.handed_off else None

    found = await until_answered(noticed)
    assert found is not None
    return found


def traces(place: Place, job: str) -> list[Any]:
    """Everything in the store that still names the job."""
    if place.store_url.startswith("redis"):
        with redis.Redis.from_url(place.store_url, decode_responses=True) as store:
            return [
                key for key in store.scan_iter(f"{{{place.namespace}*") if named(store, key, job)
            ]
    with closing(sqlite3.connect(sqlite_path(place.store_url))) as database:
        tables = {"records": "id", "parts": "job", "events": "job", "entries": "job"}
        found: list[Any] = []
        for table, column in {**tables, "unique_keys": "job"}.items():
            query = f"SELECT * FROM {table} WHERE {column} = ?"  # noqa: S608 - our own names
            found += database.execute(query, (job,)).fetchall()
        return found


def named(store: "redis.Redis", key: str, job: str) -> bool:
    if job in key:
        return True
    return store.type(key) == "zset" and store.zscore(key, job) is not None
