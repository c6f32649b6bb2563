"""The next try of a tool begins where its last checkpoint says, whatever ended the one before."""

from pathlib import Path
from typing import Any

import pytest

from common.config.model import Retry, Settings, ToolRule
from common.jobs.checkpoint import CHECKPOINT_BYTES
from common.jobs.state import JobState
from tests.support.logbook import lines
from tests.support.system import OpenSystem, Place, System, open_system
from tests.support.waiting import until
from tests.support.worker_process import worker_process

pytestmark = pytest.mark.anyio

RULES = {"b__safe": ToolRule(repeatable=True, retry=Retry(first=0.0))}


async def resumed(system: System, job: str) -> Any:
    """What the last call of the tool was told."""
    result = await system.result(job)
    return (result.get("_meta") or {}).get("resumed")


async def said(system: System, job: str) -> list[str]:
    read = await system.store.output(job, after=0, limit=100)
    return [entry.text for entry in read.entries if entry.logger == "longhaul"]


async def test_a_backend_that_dies_goes_on_from_the_last_one(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    """Said in the moment before: it is stored before the run is settled."""
    async with system_on(tools=RULES) as system, system.worker():
        await until(lambda: "b__safe" in system.ingress.feed.current.tools, seconds=30)
        mark = {"row": 2**70, "nothing": None, "é": [1.5]}
        job = await system.submit(
            "b__safe", log=str(tmp_path / "log"), steps=3, checkpoint=mark, then="crash once"
        )
        assert (await system.ended(job, seconds=30)).state is JobState.COMPLETED
        assert await resumed(system, job) == [3, mark]
        head = await system.head(job)
    assert (head.tries, head.checkpoint_bytes > 20, head.checkpoint_at > 0) == (2, True, True)


async def test_a_first_call_is_told_of_none(system_on: OpenSystem, tmp_path: Path) -> None:
    async with system_on() as system, system.worker():
        await until(lambda: "b__work" in system.ingress.feed.current.tools, seconds=30)
        job = await system.submit("b__work", log=str(tmp_path / "log"), steps=3)
        head = await system.ended(job)
        assert (await resumed(system, job), head.checkpoint_bytes) == (None, 0)


async def test_one_too_large_is_refused_and_the_older_one_kept(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on(tools=RULES) as system, system.worker():
        await until(lambda: "b__safe" in system.ingress.feed.current.tools, seconds=30)
        # The tenth has a digit more than fits.
        most = "x" * (CHECKPOINT_BYTES - len('[1,""]'))
        job = await system.submit(
            "b__safe", log=str(log), gate=str(gate), steps=10, checkpoint=most, then="crash once"
        )
        await until(lambda: lines(log))
        gate.touch()
        assert (await system.ended(job, seconds=30)).state is JobState.COMPLETED
        assert await resumed(system, job) == [9, most]
        (first, second) = await said(system, job)  # of each try
        assert first == second
        assert f"{CHECKPOINT_BYTES + 1} bytes was not kept" in first


@pytest.fixture
def settings(distributed_place: Place) -> Settings:
    return distributed_place.settings(tools=RULES)


async def test_another_worker_goes_on_after_one_was_killed(
    settings: Settings, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "worker") as process:
            await until(lambda: "b__safe" in system.ingress.feed.current.tools, seconds=30)
            job = await system.submit(
                "b__safe", log=str(log), gate=str(gate), steps=4, checkpoint="here"
            )
            await system.until_head(job, lambda head: head.checkpoint_bytes > 0, seconds=60)
            await until(lambda: lines(log))
            process.kill()
            process.kill_all()
        async with system.worker():
            await system.until_head(job, lambda head: head.claims == 2, seconds=30)
            gate.touch()
            assert (await system.ended(job)).state is JobState.COMPLETED
        number, mark = await resumed(system, job)
    assert (number in range(1, 5), mark) == (True, "here")
