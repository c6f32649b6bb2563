"""The store is away while jobs run, and the hints that it would have given are lost."""

from pathlib import Path

import anyio
import pytest
import redis

from common.jobs.change import Done, Note
from common.jobs.endings import complete
from common.jobs.state import JobState
from common.publishing import token_of
from ingress.operations.follow import Watch
from tests.support.journal import Journal
from tests.support.logbook import lines
from tests.support.namespaces import Namespace
from tests.support.private import PrivateServer
from tests.support.servers import Shared
from tests.support.system import Place, open_system
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("said")]


@pytest.fixture
def place(
    rabbit: Shared, private_redis: PrivateServer, namespace: Namespace, tmp_path: Path
) -> Place:
    namespace.queues.add("b")  # its records are not where the fixture would look
    return Place(
        broker_url=rabbit.url,
        store_url=private_redis.url,
        namespace=namespace,
        data=tmp_path / "data",
    )


async def test_a_result_that_comes_while_the_store_is_away_is_stored_when_it_is_back(
    place: Place, private_redis: PrivateServer, said: Journal, tmp_path: Path
) -> None:
    """One run; nobody takes it for lost although no lease was refreshed."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with open_system(place.settings()) as system, system.worker():
        async with system.held(log=str(log), gate=str(gate)) as (job, watch):
            await until(lambda: lines(log))
            await anyio.to_thread.run_sync(private_redis.stop)
            gate.touch()
            await until(lambda: lines(log) == ["started", "finished"])
            await until(lambda: said.of("job.unsettled", job_id=job))
            await anyio.to_thread.run_sync(private_redis.start)
            head = await system.settled(job, seconds=20)
            assert (head.state, head.claims) == (JobState.COMPLETED, 1)
            await heard(watch)
        assert (await system.ended(await system.submit(log=str(log)))).state is JobState.COMPLETED
    assert lines(log).count("started") == 2


async def test_a_token_that_comes_while_the_store_is_away_keeps_no_slot(
    place: Place, private_redis: PrivateServer, said: Journal, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with open_system(place.settings()) as system:
        async with system.worker():
            await system.offered("b__work")
        job = await system.submit(log=str(log))
        async with system.worker({"b": 1}):
            head = await system.ended(job)
            token = token_of(head, generation=1, version=head.version)
            await anyio.to_thread.run_sync(private_redis.stop)
            await system.runtime.broker.publish("b", token, 4)
            await until(lambda: said.of("job.unclaimed", job_id=job))
            await anyio.to_thread.run_sync(private_redis.start)
            job = await system.submit(log=str(log))
            assert (await system.ended(job, seconds=20)).state is JobState.COMPLETED
    assert lines(log).count("started") == 2


async def test_an_end_that_was_not_heard_is_read_after_the_gap(
    place: Place, tmp_path: Path
) -> None:
    """The hint is lost for sure, and with it the connection that would have brought it."""
    gate = str(tmp_path / "gate")
    async with (
        open_system(place.settings()) as system,
        system.worker(),
        system.held(log=str(tmp_path / "log"), gate=gate) as (job, watch),
    ):
        head = await system.in_state(job, JobState.RUNNING)
        await system.store.note(job, Note(unwatch=system.ingress.lease))
        change = complete(head, b"{}", system.runtime.retention, tool_error=False)
        assert isinstance(await system.store.commit(job, change, version=head.version), Done)
        assert watch.end is None
        kill_listeners(place.store_url)
        await heard(watch)


async def test_every_end_is_heard_while_listeners_lose_their_connections(
    place: Place, tmp_path: Path
) -> None:
    async with open_system(place.settings()) as system, system.worker():
        for number in range(10):
            gate = tmp_path / f"gate{number}"
            async with system.held(log=str(tmp_path / "log"), gate=str(gate)) as (_, watch):
                gate.touch()
                kill_listeners(place.store_url)
                await heard(watch)


async def heard(watch: Watch) -> None:
    await until(lambda: watch.end is not None)


def kill_listeners(url: str) -> None:
    with redis.Redis.from_url(url) as store:
        store.client_kill_filter(_type="pubsub")
