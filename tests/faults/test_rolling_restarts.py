"""Every process of a deployment is restarted in turn, as an upgrade does, while jobs run."""

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest

from tests.chaos.deployment import Deployment, deployed
from tests.chaos.load import Load, ended, submitted
from tests.support.routers import modern_call
from tests.support.waiting import until_answered

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

HELD = 200
JOBS = 500
UNLIMITED = httpx2.Limits(max_connections=None)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    with deployed(tmp_path_factory.mktemp("rolling")) as running:
        yield running


async def test_ingresses_under_held_calls(deployment: Deployment, tmp_path: Path) -> None:
    """Every caller has its result, or a handle that leads to it."""
    await _serving(deployment, tmp_path)
    starts = tmp_path / "starts"
    async with httpx2.AsyncClient(timeout=120, limits=UNLIMITED) as http:
        calls = [
            asyncio.create_task(_called(http, deployment.addresses[n % 2], n, starts))
            for n in range(HELD)
        ]
        await until_answered(partial(_all_taken, http, deployment, starts), seconds=60)
        for ingress, address in zip(deployment.ingresses, deployment.addresses, strict=True):
            await anyio.to_thread.run_sync(ingress.restart)
            await until_answered(partial(_ready, http, address), seconds=30)
        answers = await asyncio.gather(*calls)
    handles = {}
    for n, answer in enumerate(answers):
        job = answer.get("_meta", {}).get("longhaul/job")
        if job is None:
            assert answer["content"][0]["text"] == str(n)
        else:
            handles[n] = job["id"]
    assert handles, "no call was handed off: nothing was restarted under it"
    states = await ended(handles, deployment.addresses, 60)
    assert set(states.values()) == {"completed"}
    assert sorted(map(int, starts.read_text().split())) == list(range(HELD))


async def test_workers_under_load(deployment: Deployment, tmp_path: Path) -> None:
    """Nothing is lost, and no try is counted that a restart has cut short."""
    await _serving(deployment, tmp_path)
    load = Load(calls=JOBS, seconds=10, seed=1, starts=tmp_path / "starts", longest=1.5)
    async with anyio.create_task_group() as group:

        async def restart_all() -> None:
            for worker in deployment.workers:
                await anyio.to_thread.run_sync(worker.restart)

        group.start_soon(restart_all)
        told = await submitted(load, deployment.addresses)
    assert told.asked_again == 0
    states = await ended(told.jobs, deployment.addresses, 60)
    assert set(states.values()) == {"completed"}
    assert sorted(map(int, load.starts.read_text().split())) == list(range(JOBS))


async def _serving(deployment: Deployment, folder: Path) -> None:
    first = Load(calls=1, seconds=0, seed=0, starts=folder / "first")
    told = await submitted(first, deployment.addresses)
    assert set((await ended(told.jobs, deployment.addresses, 30)).values()) == {"completed"}


async def _called(http: httpx2.AsyncClient, address: str, n: int, starts: Path) -> dict[str, Any]:
    arguments = {"n": n, "seconds": 3.0, "file": str(starts)}
    answer = await http.post(f"{address}/mcp", **modern_call("counting__once", arguments))
    assert answer.status_code == 200, answer.text
    # JSON, or a stream when it was held for so long that signs of life went before it.
    *_, said = answer.text.strip().splitlines()
    result: dict[str, Any] = json.loads(said.removeprefix("data: "))["result"]
    return result


async def _all_taken(http: httpx2.AsyncClient, deployment: Deployment, starts: Path) -> bool:
    """All calls are jobs, and some have begun."""
    page = await http.get(f"{deployment.addresses[0]}/v1/jobs?tool=counting__once&limit=500")
    return starts.exists() and len(page.json()["jobs"]) >= HELD


async def _ready(http: httpx2.AsyncClient, address: str) -> bool:
    try:
        return (await http.get(f"{address}/readyz")).is_success
    except httpx2.HTTPError:
        return False
