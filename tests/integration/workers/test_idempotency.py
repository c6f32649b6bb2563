"""One idempotency key, one run of the tool, however often and at once it is submitted."""

import asyncio
from pathlib import Path

import pytest

from common.jobs.indexes import ALL
from common.jobs.state import JobState
from tests.support.logbook import lines
from tests.support.system import OpenSystem

pytestmark = pytest.mark.anyio


async def test_many_submissions_at_once_are_one_run(system_on: OpenSystem, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with system_on() as system, system.worker():
        await system.offered("b__work")
        submissions = (system.submit_with("b__work", {"log": str(log)}, key="k") for _ in range(20))
        (job,) = set(await asyncio.gather(*submissions))
        assert (await system.ended(job)).claims == 1
        assert await system.submit_with("b__work", {"log": str(log)}, key="k") == job
        assert lines(log) == ["started", "finished"]


async def test_a_submission_that_was_cut_off_at_any_moment_is_repeated_as_one_run(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    async with system_on() as system, system.worker():
        await system.offered("b__work")
        for turns in range(8):
            arguments = {"log": str(log), "label": f"call-{turns}"}
            first = asyncio.create_task(system.submit_with("b__work", arguments, key=f"k{turns}"))
            for _ in range(turns):
                await asyncio.sleep(0)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            job = await system.submit_with("b__work", arguments, key=f"k{turns}")
            assert (await system.ended(job)).state is JobState.COMPLETED
            assert lines(log).count(f"call-{turns} started") == 1
        assert await system.store.count(ALL) == 8
