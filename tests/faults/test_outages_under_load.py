"""A server is away for a while under a deployment that works."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import httpx2
import pytest

from tests.chaos.deployment import Deployment, deployed
from tests.chaos.load import Load, ended, submitted
from tests.support.logbook import lines
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

AWAY = 20.0  # seconds: twice a lease


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with deployed(tmp_path) as running:
        yield running


async def test_the_store_is_away_for_twice_a_lease(deployment: Deployment, tmp_path: Path) -> None:
    """Nobody's lease could be refreshed, and nobody is taken for dead; no try is counted."""
    load = Load(calls=150, seconds=10, seed=3, starts=tmp_path / "starts")
    async with anyio.create_task_group() as group:

        async def take_away() -> None:
            await until(lambda: len(lines(load.starts)) > load.calls / 5, seconds=60)
            await anyio.to_thread.run_sync(deployment.redis.stop)
            await anyio.sleep(AWAY)
            await anyio.to_thread.run_sync(deployment.redis.start)

        group.start_soon(take_away)
        told = await submitted(load, deployment.addresses)
    states = await ended(told.jobs, deployment.addresses, 60)
    assert set(states.values()) == {"completed"}
    assert sorted(map(int, load.starts.read_text().split())) == list(range(load.calls))
    async with httpx2.AsyncClient(timeout=60) as http:
        page = await http.get(f"{deployment.addresses[0]}/v1/jobs?limit=500")
    assert {job["tries"] for job in page.json()["jobs"]} == {1}
