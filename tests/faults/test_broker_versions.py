"""What RabbitMQ does to its clients by itself, 3.10 and 4.3: none of it costs or doubles a run."""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import anyio.to_thread
import pytest

from common.brokers.rabbitmq import broker, topology
from common.config.model import Queue
from common.errors import RefusedError
from common.jobs.state import JobState
from tests.conftest import or_skip
from tests.support.journal import Journal
from tests.support.logbook import lines
from tests.support.namespaces import Namespace
from tests.support.private import PrivateServer
from tests.support.private_rabbit import PrivateRabbit
from tests.support.rabbitmq import delete_queue
from tests.support.servers import Shared, new_rabbit, new_rabbit43
from tests.support.system import Place, System, gated, open_system
from tests.support.waiting import until, until_answered

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.usefixtures("said"),
    pytest.mark.servers,
    pytest.mark.timeout(240),
]

SOON = {"consumer_timeout": "2000"}  # ms that a delivery may stay open
ALARM = {"vm_memory_high_watermark.absolute": "1MB"}
MANY = 500
# Seconds that the long job runs at least; as long as both faults take is enough to find mistakes.
LONG = float(os.environ.get("LONGHAUL_TEST_LONG_JOB", "0"))

NewServer = Callable[[Mapping[str, str] | None], PrivateServer]
VERSIONS = {"3.10": new_rabbit, "4.3": new_rabbit43}


@pytest.fixture(params=sorted(VERSIONS))
def new_server(request: pytest.FixtureRequest) -> Iterator[NewServer]:
    """Makes a server of this version that the test may do anything to; it ends with the test."""
    made: list[PrivateServer] = []

    def new(settings: Mapping[str, str] | None = None) -> PrivateServer:
        server = or_skip(lambda: VERSIONS[request.param](settings))
        made.append(server)
        server.start()
        return server

    yield new
    for server in made:
        server.close()


def place_on(server: PrivateServer, store: Shared, namespace: Namespace, folder: Path) -> Place:
    return Place(
        broker_url=server.url, store_url=store.url, namespace=namespace, data=folder / "data"
    )


@pytest.mark.parametrize("kind", ["classic", "quorum"])
async def test_a_delivery_that_was_open_for_too_long(
    new_server: NewServer,
    redis_server: Shared,
    namespace: Namespace,
    tmp_path: Path,
    said: Journal,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    """Before 4.3 the channel is closed; from 4.3 a quorum queue cancels the consumer, and a classic
    one does nothing. The job runs on, once, and its queue is served again.
    """
    monkeypatch.setattr(topology, "CONSUMER_TIMEOUT_MS", 2_000)
    server = await anyio.to_thread.run_sync(new_server, SOON)
    place = place_on(server, redis_server, namespace, tmp_path)
    log, gate = tmp_path / "log", tmp_path / "gate"
    settings = place.settings(queues={"b": Queue(slots=1)}, queue_type=kind)
    async with open_system(settings) as system, system.worker():
        job = await system.submit(log=str(log), label="long", gate=str(gate))
        if kind == "quorum" or "4.3" not in version(said):
            await until(lambda: said.of("token.adopted", job_id=job), seconds=90)
        gate.touch()
        head = await system.ended(job, seconds=20)
        assert (head.state, head.claims) == (JobState.COMPLETED, 1)
        after = await system.submit(log=str(log), label="after")
        assert (await system.ended(after, seconds=20)).state is JobState.COMPLETED
    assert lines(log) == ["long started", "long finished", "after started", "after finished"]


@pytest.mark.timeout(240 + LONG)
async def test_a_long_job_over_a_closed_channel_and_a_restarted_broker(
    new_server: NewServer,
    redis_server: Shared,
    namespace: Namespace,
    tmp_path: Path,
    said: Journal,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topology, "CONSUMER_TIMEOUT_MS", 2_000)
    server = await anyio.to_thread.run_sync(new_server, SOON)
    place = place_on(server, redis_server, namespace, tmp_path)
    log, gate = tmp_path / "log", tmp_path / "gate"

    def adopted(times: int) -> bool:
        return len(said.of("token.adopted", job_id=job)) >= times

    settings = place.settings(queues={"b": Queue(slots=1)}, queue_type="quorum")
    async with open_system(settings) as system, system.worker():
        began = time.monotonic()
        job = await system.submit(log=str(log), label="long", gate=str(gate))
        await until(lambda: adopted(1), seconds=90)
        await anyio.to_thread.run_sync(server.stop)
        await until(lambda: system.runtime.broker.unreachable_since is not None, seconds=30)
        before = len(said.of("token.adopted", job_id=job))
        await anyio.to_thread.run_sync(server.start)
        await until(lambda: adopted(before + 1), seconds=90)
        await until(lambda: time.monotonic() > began + LONG, seconds=LONG + 1, every=0.2)
        gate.touch()
        head = await system.ended(job, seconds=20)
        assert (head.state, head.claims, head.tries) == (JobState.COMPLETED, 1, 1)
    assert lines(log) == ["long started", "long finished"]


async def test_a_broker_behind_its_memory_alarm(
    new_server: NewServer,
    redis_server: Shared,
    namespace: Namespace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Publishers are blocked: calls are accepted up to the limit, and run once it is over."""
    monkeypatch.setattr(broker, "PUBLISH_WITHIN", 1.0)
    monkeypatch.setattr(broker, "PUBLISH_WITHIN_STALLED", 0.3)
    server = await anyio.to_thread.run_sync(new_server, ALARM)
    place = place_on(server, redis_server, namespace, tmp_path)
    log = tmp_path / "log"
    async with open_system(place.settings(max_unpublished=3)) as system, system.worker():
        jobs = [await system.submit(log=str(log)) for _ in range(3)]
        for job in jobs:
            head = await system.head(job)
            assert (head.state, head.confirmed) == (JobState.QUEUED, 0)
        with pytest.raises(RefusedError, match="full"):
            await system.submit(log=str(log))
        await anyio.to_thread.run_sync(relieve, server)
        monkeypatch.undo()  # a busy machine needs its time to confirm
        await all_complete(system, jobs)
    assert lines(log).count("started") == 3


def relieve(server: PrivateServer) -> None:
    """The alarm is over: it comes back with the memory that it has."""
    if not isinstance(server, PrivateRabbit):
        pytest.skip("the settings of a container stay as they are")
    server.stop()
    server.settings.pop("vm_memory_high_watermark.absolute")
    server.start()


async def test_a_broker_that_comes_back_empty(
    new_server: NewServer, redis_server: Shared, namespace: Namespace, tmp_path: Path
) -> None:
    """No queue, no exchange, no token: everything that waits is published again."""
    server = await anyio.to_thread.run_sync(new_server, None)
    place = place_on(server, redis_server, namespace, tmp_path)
    log = tmp_path / "log"
    async with open_system(place.settings()) as system:
        async with system.worker():
            await system.offered("b__work")
        jobs = [await system.submit(log=str(log)) for _ in range(20)]
        await anyio.to_thread.run_sync(empty, server)
        await until(lambda: system.runtime.broker.unreachable_since is None, seconds=60)
        await system.look_now(*jobs)
        async with system.worker():
            await all_complete(system, jobs)
    assert lines(log).count("started") == 20


def empty(server: PrivateServer) -> None:
    if not isinstance(server, PrivateRabbit):
        pytest.skip("what a container keeps is out of reach")
    server.kill()
    shutil.rmtree(server.folder / "mnesia")
    server.start()


@pytest.mark.parametrize("rabbit_of", ["rabbit", "rabbit43"])
async def test_a_queue_deleted_with_many_jobs_waiting_while_new_ones_come(
    request: pytest.FixtureRequest,
    redis_server: Shared,
    namespace: Namespace,
    tmp_path: Path,
    rabbit_of: str,
) -> None:
    server: Shared = request.getfixturevalue(rabbit_of)
    place = Place(
        broker_url=server.url,
        store_url=redis_server.url,
        namespace=namespace,
        data=tmp_path / "data",
    )
    log = tmp_path / "log"
    settings = place.settings(gated(concurrency=8), queues={"b": Queue(slots=8)})
    async with open_system(settings) as system:
        async with system.worker():
            await system.offered("b__work")
        jobs = [await system.submit(log=str(log)) for _ in range(MANY)]
        async with system.worker():
            await delete_queue(server.url, namespace, "b")
            jobs += [await system.submit(log=str(log)) for _ in range(MANY // 2)]
            await all_complete(system, jobs)
    assert lines(log).count("started") == len(jobs)


def version(said: Journal) -> str:
    return str(said.of("broker.connected")[0]["version"])


async def all_complete(system: System, jobs: list[str]) -> None:
    async def ended() -> bool:
        return await system.store.count("state:completed") == len(jobs)

    # Checks that met a broker still away come again after 15 s, and later after more.
    await until_answered(ended, seconds=150, every=0.1)
    for job in jobs:
        assert (await system.head(job)).claims == 1
