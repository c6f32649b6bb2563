"""SIGHUP to `longhaul worker`: a new worker takes over, and the one before ends what it runs."""

import json
import signal
from pathlib import Path

import pytest

from common.config.model import Settings
from common.jobs.state import JobState
from tests.support.logbook import lines
from tests.support.processes import children_of
from tests.support.system import Place, System, gated, open_system
from tests.support.waiting import until
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
