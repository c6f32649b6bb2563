"""A settlement fails for a reason that nobody expected: no job stays `running` for that."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from common.config.model import Retry, ToolRule
from common.errors import NOT_KEPT
from common.jobs.change import Change, Done, Refused
from common.jobs.state import JobState
from common.runtime import new_lease
from common.store.base import JobStore
from tests.support.journal import journal
from tests.support.logbook import lines
from tests.support.system import OpenSystem, System, running
from workers import strays
from workers.worker import Worker

pytestmark = pytest.mark.anyio
AGAIN = {"b__*": ToolRule(retry=Retry(attempts=3, first=0.0, max=0.0), repeatable=True)}


@dataclass
class Odd:
    """A store with which some commits fail as no store should."""

    store: JobStore
    fails: Callable[[Change], bool]
    times: int = 1_000

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    async def commit(self, job_id: str, change: Change, **more: Any) -> Done | Refused:
        if self.times and self.fails(change):
            self.times -= 1
            raise RuntimeError(f"{change.name} is more than this store can take")
        return await self.store.commit(job_id, change, **more)


@pytest.fixture(autouse=True)
def watched() -> None:
    """Unlike everywhere else: what was unexpected is expected here."""


@asynccontextmanager
async def worker_on(system: System, odd: Odd) -> AsyncIterator[None]:
    runtime: Any = replace(system.runtime, store=odd)
    slots = dict.fromkeys(system.rules.queue_backends(), 1)
    async with running(Worker(runtime, new_lease("worker"), system.rules, slots).run()):
        yield


async def test_an_answer_that_cannot_be_kept_fails_its_job(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    """And is not asked for again, for it would be as impossible to keep."""
    log = tmp_path / "log"
    async with system_on(tools=AGAIN) as system:
        odd = Odd(system.store, lambda change: change.name == "completed")
        async with worker_on(system, odd):
            job = await system.submit(log=str(log))
            head = await system.ended(job, seconds=30)
            assert (head.state, head.tries) == (JobState.FAILED, 1)
            assert (await system.result(job))["code"] == NOT_KEPT
            # The slot is free.
            other = await system.submit(log=str(log), then="refuse")
            assert (await system.ended(other, seconds=30)).state is JobState.FAILED
    assert lines(log).count("started") == 2


@pytest.mark.parametrize("again", [True, False], ids=["repeatable", "not"])
async def test_what_cannot_be_settled_at_all_is_a_stray_until_it_can(
    system_on: OpenSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, again: bool
) -> None:
    """The worker lives and runs it no longer: it notices by itself, and settles by the job's rule.

    Nobody else may: its lease is alive.
    """
    monkeypatch.setattr(strays, "EVERY", 0.2)
    log = tmp_path / "log"
    async with system_on(tools=AGAIN if again else {}) as system:
        odd = Odd(system.store, lambda change: change.name in {"completed", "failed"}, times=2)
        with journal() as said:
            async with worker_on(system, odd):
                job = await system.submit(log=str(log))
                head = await system.settled(job, seconds=30)
        assert len(said.of("job.not_settled")) == len(said.of("delivery.failed")) == 1
        assert len(said.of("job.stray")) == 1
        expected = (JobState.COMPLETED, 2) if again else (JobState.LOST, 1)
        assert (head.state, head.tries) == expected
    assert lines(log).count("started") == head.tries
