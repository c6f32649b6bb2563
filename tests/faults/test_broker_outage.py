"""The broker is away: what is accepted waits, what runs goes on, and nothing runs twice."""

from pathlib import Path

import anyio
import pytest

from common.config.model import Queue
from common.jobs.state import JobState
from tests.support.journal import Journal
from tests.support.logbook import at_once, lines
from tests.support.namespaces import Namespace
from tests.support.private import PrivateServer
from tests.support.servers import Shared
from tests.support.system import Place, gated, open_system
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("said")]


async def test_a_killed_broker(
    private_rabbit: PrivateServer,
    redis_server: Shared,
    namespace: Namespace,
    said: Journal,
    tmp_path: Path,
) -> None:
    """Accepted while it is down, and run when it is back; a running job keeps its one run."""
    place = Place(
        broker_url=private_rabbit.url,
        store_url=redis_server.url,
        namespace=namespace,
        data=tmp_path / "data",
    )
    log, gate = tmp_path / "log", tmp_path / "gate"
    settings = place.settings(gated(concurrency=8), queues={"b": Queue(slots=2)})
    async with open_system(settings) as system, system.worker():
        runs = await system.submit(log=str(log), label="runs", gate=str(gate))
        await until(lambda: lines(log))
        await anyio.to_thread.run_sync(private_rabbit.kill)
        jobs = [await system.submit(log=str(log), gate=str(gate)) for _ in range(3)]
        for job in jobs:
            head = await system.head(job)
            assert (head.state, head.confirmed) == (JobState.QUEUED, 0)
        await anyio.to_thread.run_sync(private_rabbit.start)
        # The token of the running job comes again, and is taken for what it is.
        await until(lambda: said.of("token.adopted", job_id=runs), seconds=20)
        await system.look_now(*jobs)
        # One starts beside the running one, in the slot that was free; the others wait.
        await until(lambda: len(lines(log)) == 2, seconds=20)
        await system.until_ready("b", 2)
        gate.touch()
        for job in (runs, *jobs):
            head = await system.ended(job, seconds=20)
            assert (head.state, head.claims) == (JobState.COMPLETED, 1)
    assert at_once(lines(log)) == 2
    assert lines(log).count("runs started") == 1
