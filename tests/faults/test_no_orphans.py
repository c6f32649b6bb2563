"""No process of a backend outlives the worker that started it, whenever that is killed."""

import asyncio
import random
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from common.clock import SystemClock
from common.config.model import Settings
from common.config.urls import sqlite_url
from longhaul.assignment import Assignment
from longhaul.supervisor import FIRST_DELAY, Supervisor
from tests.support.journal import Journal
from tests.support.ports import free_port
from tests.support.processes import mentioning
from tests.support.waiting import until
from workers.backends.groups import dead_owners

pytestmark = pytest.mark.anyio

PARENTS, DEATHS = 10, 5


class Mortal:
    """Starts the workers of one parent; each is killed at a moment of chance, but for the last."""

    def __init__(self, settings: Settings, tag: str, chance: random.Random) -> None:
        self._settings = settings
        self._tag = tag
        self._chance = chance
        self._kills: list[asyncio.Task[None]] = []
        self.lives = 0

    async def start(self, assignment: Assignment) -> asyncio.subprocess.Process:
        self.lives += 1
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.replicated"),
            *(self._settings.data, assignment.lease, self._tag),
            cwd=Path(__file__).parents[2],
            stdin=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        if self.lives <= DEATHS:
            self._kills.append(asyncio.create_task(self._kill(child)))
        return child

    async def _kill(self, child: asyncio.subprocess.Process) -> None:
        # While it starts, while its launchers do, or later.
        await asyncio.sleep(self._chance.uniform(0.0, 1.5))
        child.kill()


async def test_after_fifty_kills_no_process_is_left(tmp_path: Path, said: Journal) -> None:
    chance = random.Random()
    tag = f"86400.{chance.randrange(10**8)}"
    data = tmp_path / "data"  # one, as on one machine; such workers do not share a store of SQLite
    each_own = [
        Settings(store_url=sqlite_url(tmp_path / f"{number}.db"), data=str(data))
        for number in range(PARENTS)
    ]
    mortals = [Mortal(settings, tag, chance) for settings in each_own]
    parents = [
        Supervisor(Assignment(lease="", settings=settings, slots={}), SystemClock(), mortal.start)
        for settings, mortal in zip(each_own, mortals, strict=True)
    ]
    async with asyncio.TaskGroup() as running:
        ends = [running.create_task(parent.run()) for parent in parents]
        await until(lambda: all(each.lives > DEATHS for each in mortals), seconds=100)
        for parent in parents:
            parent.stop(signal.SIGTERM)
    assert [end.result() for end in ends] == [0] * PARENTS
    assert len(said.of("worker.died")) == PARENTS * DEATHS
    assert sum(entry["groups"] for entry in said.of("replicas.killed")) > PARENTS
    await until(lambda: mentioning(tag) == [])
    assert dead_owners(data) == ()


async def test_a_worker_that_dies_at_once_is_started_again_ever_more_rarely(
    tmp_path: Path, said: Journal
) -> None:
    async def start(_: Assignment) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec("sh", "-c", "exit 1")

    settings = Settings(store_url=sqlite_url(tmp_path / "jobs.db"), data=str(tmp_path / "data"))
    parent = Supervisor(Assignment(lease="", settings=settings, slots={}), SystemClock(), start)
    async with asyncio.TaskGroup() as running:
        end = running.create_task(parent.run())
        await until(lambda: len(said.of("worker.died")) == 4, seconds=30)
        parent.stop(signal.SIGTERM)
    assert end.result() == 0
    waits = [entry["next_in"] for entry in said.of("worker.died")]
    for number, wait in enumerate(waits):
        assert FIRST_DELAY * 2**number / 2 <= wait + 0.01 <= FIRST_DELAY * 2**number + 0.02
    leases = Counter(entry["lease"] for entry in said.of("worker.started"))
    assert max(leases.values()) == 1


@pytest.mark.parametrize("broken", ["worker.not_cleared", "lease.not_released"])
async def test_nothing_that_goes_wrong_at_a_death_ends_the_parent(
    tmp_path: Path, said: Journal, broken: str
) -> None:
    """No process can be had for a while; the store is none, or away."""
    (tmp_path / "jobs.db").write_text("not a store")
    away = f"redis://127.0.0.1:{free_port()}"
    store = sqlite_url(tmp_path / "jobs.db") if broken == "worker.not_cleared" else away
    settings = Settings(store_url=store, data=str(tmp_path / "data"))
    lives = iter((OSError("no memory"), "false", "true"))

    async def start(_: Assignment) -> asyncio.subprocess.Process:
        life = next(lives)
        if isinstance(life, OSError):
            raise life
        return await asyncio.create_subprocess_exec(life)

    assignment = Assignment(lease="", settings=settings, slots={})
    assert await Supervisor(assignment, SystemClock(), start).run() == 0
    assert len(said.of("worker.not_started")) == 1
    assert len(said.of(broken)) == 1
    assert len(said.of("worker.died")) == 2
