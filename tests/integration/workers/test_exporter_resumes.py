"""The bundled exporter, killed at 60 %, goes on from there: the file has every row once."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from common.config.model import Backend, Retry, Settings, ToolRule
from common.jobs.state import JobState
from common.wire import load_json
from tests.support.processes import mentioning
from tests.support.system import OpenSystem, Place, System, open_system
from tests.support.waiting import until
from tests.support.worker_process import worker_process

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
EXPORT = "exporter__export_rows"
ORDERS = ROOT / "examples/exporter/data/orders.csv"
ROWS = 8_000
CALL = {"dataset": "orders", "rows_per_second": 3_000}
RULES = {"tools": {EXPORT: ToolRule(retry=Retry(first=0.0))}}


def exporter(output: Path) -> Backend:
    args = ("-m", "examples.exporter", "--output", str(output))
    return Backend(name="exporter", command=sys.executable, args=args, cwd=str(ROOT), trusted=True)


async def at_60_percent(system: System, job: str) -> int:
    """How many rows its checkpoint is past, at least, once it is there."""

    def is_there(value: float) -> bool:
        return value >= 0.6 * ROWS

    head = await system.until_head(
        job,
        lambda head: bool(head.progress) and is_there(load_json(head.progress.encode())[0]),
        seconds=60,
    )
    assert head.checkpoint_bytes
    return int(load_json(head.progress.encode())[0])


async def first_word(system: System, job: str, tried: int) -> int:
    """The rows that a try had when it spoke for the first time."""
    read = await system.store.output(job, after=0, limit=2_000)
    words = [each.text for each in read.entries if each.tried == tried]
    return int(words[0].partition(" ")[0].replace(",", ""))


async def check_whole(system: System, job: str, output: Path, *, from_row: int) -> None:
    head = await system.ended(job, seconds=60)
    result: Any = await system.result(job)
    assert (head.state, head.tool_error) == (JobState.COMPLETED, False), result
    assert (output / "orders.csv").read_bytes() == ORDERS.read_bytes()
    assert result["structuredContent"]["rows"] == ROWS
    assert await first_word(system, job, head.tries) > from_row
    assert [path.name for path in output.iterdir()] == ["orders.csv"]


async def test_its_process_is_killed(system_on: OpenSystem, tmp_path: Path) -> None:
    output = tmp_path / "exports"
    async with system_on(exporter(output), **RULES) as system, system.worker():
        await until(lambda: EXPORT in system.ingress.feed.current.tools, seconds=30)
        job = await system.submit_with(EXPORT, CALL)
        rows = await at_60_percent(system, job)
        for pid in mentioning(str(output)):
            os.kill(pid, signal.SIGKILL)
        await check_whole(system, job, output, from_row=rows)


@pytest.fixture
def settings(distributed_place: Place, tmp_path: Path) -> Settings:
    return distributed_place.settings(exporter(tmp_path / "exports"), **RULES)


async def test_its_worker_is_killed(settings: Settings, tmp_path: Path) -> None:
    """And with it its backends; another worker, on the same disk, takes over."""
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "worker") as process:
            await until(lambda: EXPORT in system.ingress.feed.current.tools, seconds=60)
            job = await system.submit_with(EXPORT, CALL)
            rows = await at_60_percent(system, job)
            process.kill()
            await check_whole(system, job, tmp_path / "exports", from_row=rows)
