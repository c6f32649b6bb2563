"""Two releases side by side: jobs of both end, none is lost, and none runs twice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aio_pika
import httpx2
import pytest

from common.brokers.rabbitmq.topology import Names
from common.config.model import Queue, Settings
from common.jobs.decisions import NEWER_FORMAT_DELAY_MS
from common.jobs.head import RECORD_FORMAT
from common.jobs.state import JobState
from tests.support.logbook import lines
from tests.support.ports import free_port
from tests.support.releases import previous_release, tagged_release
from tests.support.roles import environment, role
from tests.support.system import Place, System, open_system
from tests.support.waiting import until, until_answered
from tests.support.worker_process import worker_process

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("said")]

TAG = "issue-2"  # where the tree of the release before this one is resolved
JOBS = 4  # of each release


@pytest.fixture
def settings(distributed_place: Place) -> Settings:
    return distributed_place.settings(queues={"b": Queue(slots=2)})


@pytest.fixture
def older(tmp_path: Path) -> Path:
    return previous_release(tmp_path / "older")


async def test_a_job_of_a_newer_release_waits_for_a_worker_that_can_read_it(
    settings: Settings, older: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "worker", source=older):
            job = await system.submit(log=str(log))
            assert (await system.head(job)).format == RECORD_FORMAT
            await until_answered(lambda: put_back(settings), seconds=30)
            async with older_ingress(settings, older, tmp_path) as http:
                shown = (await http.get(f"/v1/jobs/{job}")).json()
                assert (shown["state"], shown["tries"]) == ("queued", 0)
                assert "newer" in shown["waiting_because"]
                await http.delete(f"/v1/jobs/{job}")
            await system.look_now(job)
            head = await system.head(job)
            assert (head.state, head.claims) == (JobState.QUEUED, 0)
        assert not lines(log)
        async with system.worker():
            head = await system.ended(job, seconds=30)
    assert (head.state, head.claims, lines(log)) == (
        JobState.COMPLETED,
        1,
        ["started", "finished"],
    )


async def test_jobs_of_both_releases_end_on_workers_of_both(
    settings: Settings, older: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with open_system(settings) as system, older_ingress(settings, older, tmp_path) as http:
        with worker_process(settings, tmp_path / "worker", source=older):
            async with system.worker():
                await both_submit(system, http, log)
                await all_end(system, log)


async def test_the_tagged_release_and_this_one_share_their_jobs(
    settings: Settings, tmp_path: Path
) -> None:
    source = tagged_release(tmp_path / "tagged", TAG)
    if source is None:
        pytest.skip(f"this clone has no tag {TAG}")
    log = tmp_path / "log"
    async with open_system(settings) as system, older_ingress(settings, source, tmp_path) as http:
        with worker_process(settings, tmp_path / "worker", source=source):
            async with system.worker():
                await both_submit(system, http, log)
                await all_end(system, log)


async def both_submit(system: System, http: httpx2.AsyncClient, log: Path) -> None:
    async def offered() -> bool:
        return (await http.get("/v1/tools/b__work")).is_success

    await until_answered(offered, seconds=30)
    for number in range(JOBS):
        arguments = {"log": str(log), "label": f"older{number}"}
        answer = await http.post("/v1/jobs", json={"tool": "b__work", "arguments": arguments})
        assert answer.is_success, answer.text  # 200 when it has ended already
        await system.submit(log=str(log), label=f"newer{number}")


async def all_end(system: System, log: Path) -> None:
    """Each has started once and finished once; the ledger's invariants are checked afterwards."""
    await until(lambda: len(lines(log)) >= 4 * JOBS, seconds=60)
    labels = [f"{release}{number}" for release in ("older", "newer") for number in range(JOBS)]
    expected = [f"{label} {word}" for label in labels for word in ("started", "finished")]

    async def ended() -> bool:
        return await system.store.count("state:completed") == 2 * JOBS

    await until_answered(ended, seconds=30)
    assert sorted(lines(log)) == sorted(expected)


async def put_back(settings: Settings) -> bool:
    """Whether the lane for what is too new holds a token."""
    lane = Names(namespace=settings.namespace).lane(NEWER_FORMAT_DELAY_MS)
    async with await aio_pika.connect(settings.broker_url) as connection:
        queue = await (await connection.channel()).get_queue(lane)
    return bool(queue.declaration_result.message_count)


@asynccontextmanager
async def older_ingress(
    settings: Settings, source: Path, folder: Path
) -> AsyncIterator[httpx2.AsyncClient]:
    """`longhaul ingress` of the other release, for the same queues and records."""
    port = free_port()
    env = environment(
        broker_url=settings.broker_url,
        store_url=settings.store_url,
        namespace=settings.namespace,
        data=str(folder / "data"),
        queues__b__slots="2",
    )
    words = ("ingress", "--port", str(port))
    with role(*words, folder=folder, env=env | {"PYTHONPATH": str(source)}):
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:

            async def ready() -> bool:
                try:
                    return (await http.get("/readyz")).is_success
                except httpx2.HTTPError:
                    return False

            await until_answered(ready, seconds=30, every=0.1)
            yield http
