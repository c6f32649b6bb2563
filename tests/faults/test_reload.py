"""SIGHUP to `longhaul worker`: a new worker takes over, and the one before ends what it runs."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from common.clock import SystemClock
from common.config.model import Settings
from common.config.urls import sqlite_url
from common.jobs.state import JobState
from longhaul.assignment import Assignment
from longhaul.succession import Succession
from tests.support.logbook import lines
from tests.support.processes import children_of
from tests.support.system import Place, System, gated, open_system
from tests.support.waiting import PATIENCE, until
from tests.support.worker_process import worker_process

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("said")]


@pytest.fixture
def settings(distributed_place: Place) -> Settings:
    return distributed_place.settings(gated("b"), drain=1)


async def test_a_reload_of_a_worker_drops_no_job(settings: Settings, tmp_path: Path) -> None:
    """One that runs once goes on past the deadline of a drain; the port is never given up."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "worker", "--port", "0") as process:
            await until(lambda: offered(system, "b__work"), seconds=60)
            job = await system.submit(log=str(log), gate=str(gate))
            await until(lambda: lines(log))
            (before,) = children_of(process.parent.pid)
            file = tmp_path / "worker" / "longhaul.yaml"
            configured = json.loads(file.read_text())
            configured["mcpServers"]["c"] = configured["mcpServers"]["b"]
            file.write_text(json.dumps(configured))
            process.parent.send_signal(signal.SIGHUP)
            await until(lambda: offered(system, "c__work"), seconds=60)
            await until(lambda: "worker.drain_over" in process.log.read_text(), seconds=30)
            for tool in ("b__work", "c__work"):
                later = await system.submit_with(tool, {"log": str(tmp_path / "other")})
                assert (await system.settled(later, seconds=30)).state is JobState.COMPLETED
            assert (await system.head(job)).state is JobState.RUNNING
            gate.touch()
            head = await system.settled(job, seconds=30)
            assert (head.state, head.tries) == (JobState.COMPLETED, 1)
            await until(lambda: before not in children_of(process.parent.pid), seconds=30)
            addresses = [line for line in process.log.read_text().split() if "http://127" in line]
            assert len(set(addresses)) == 1
            process.parent.send_signal(signal.SIGTERM)
            assert process.parent.wait(30) == 0
    assert lines(log) == ["started", "finished"]


def offered(system: System, tool: str) -> bool:
    system.ingress.feed.refresh_soon()
    return tool in system.ingress.feed.current.tools


class Workers:
    """In the place of workers: each hears of a first SIGTERM, and ends at once with a second one,
    or once its gate is open.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[asyncio.subprocess.Process] = []
        settings = Settings(store_url=sqlite_url(folder / "jobs.db"), data=str(folder))
        self.assignment = Assignment(lease="", settings=settings, slots={})
        self.parent = Succession(
            self.assignment, SystemClock(), self._start, lambda: self.assignment
        )

    async def _start(self, _: Assignment) -> asyncio.subprocess.Process:
        gate = self.folder / f"gate{len(self.started)}"
        script = (
            "trap 'trap - TERM; echo asked' TERM; echo ready; "
            f"until [ -e {gate} ]; do sleep 0.05; done"
        )
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", script, stdout=asyncio.subprocess.PIPE
        )
        assert await self.says(process) == "ready"
        self.started.append(process)
        return process

    async def says(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return (await process.stdout.readline()).decode().strip()

    async def relieve(self) -> None:
        count = len(self.started)
        self.parent.reload()
        assert await self.says(self.started[count - 1]) == "asked"
        await until(lambda: len(self.started) == count + 1)


async def test_only_a_second_signal_is_for_those_that_were_relieved(tmp_path: Path) -> None:
    workers = Workers(tmp_path)
    run = asyncio.create_task(workers.parent.run())
    await until(lambda: workers.started)
    await workers.relieve()
    workers.parent.stop(signal.SIGTERM)
    assert await workers.says(workers.started[-1]) == "asked"
    workers.parent.reload()
    ended = [each.returncode for each in workers.started]
    assert ended == [None, None]
    workers.parent.stop(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE):
        assert await run == 128 + signal.SIGTERM
    ended = [each.returncode for each in workers.started]
    assert ended == [-signal.SIGTERM] * 2, "and no reload after the end was asked for"


async def test_the_parent_stays_for_those_that_were_relieved(tmp_path: Path) -> None:
    workers = Workers(tmp_path)
    run = asyncio.create_task(workers.parent.run())
    await until(lambda: workers.started)
    await workers.relieve()
    relieved, newest = workers.started
    workers.parent.stop(signal.SIGTERM)
    (tmp_path / "gate1").touch()
    assert await newest.wait() == 0
    (tmp_path / "gate0").touch()
    async with asyncio.timeout(PATIENCE):
        assert await run == 0
    assert relieved.returncode == 0
