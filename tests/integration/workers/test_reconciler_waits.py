"""What answers nothing keeps the reconciler from nothing else."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from common.blobs.base import Blob, Listed
from common.blobs.folder import FolderBlobs
from common.brokers.base import Broker, BrokerError, Depth
from common.jobs.change import Done, Due, Note
from common.jobs.endings import RetentionMs, complete
from common.jobs.ids import new_job_id
from common.jobs.state import JobState
from common.jobs.token import Token
from common.jobs.transitions import submit
from common.reconciler import Reconciler
from common.runtime import open_runtime
from common.store.base import JobStore
from tests.support.journal import Journal
from tests.support.ledger import SUBMISSION, Ledger
from tests.support.system import Place, open_system, running
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio


async def test_a_broker_that_answers_nothing_is_asked_once_a_look(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many queues have jobs that wait: behind an alarm each question costs seconds, too."""
    asked: list[str] = []

    async def unanswered(queue: str) -> Depth | None:
        asked.append(queue)
        raise BrokerError("no answer")

    async with open_system(place.settings()) as system:
        jobs = [new_job_id(number) for number in range(9)]
        for job in jobs:
            waits = submit(replace(SUBMISSION, queue=f"q{job}"), 0)
            assert isinstance(await system.store.commit(job, waits, version=0), Done)
            await system.store.note(job, Note(fields={"confirmed": 1}))
        monkeypatch.setattr(system.runtime.broker, "depth", unanswered)
        await system.look_now(*jobs)
        assert 0 < len(asked) < len(jobs) / 2


@dataclass
class Blocked:
    """A broker that takes no token from anybody."""

    broker: Broker
    unreachable_since: float = 1.0
    tried: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.broker, name)

    async def publish(self, queue: str, token: Token, priority: int) -> None:
        del queue, token, priority
        self.tried += 1
        raise BrokerError("not confirmed")


async def test_a_blocked_broker_is_tried_once_a_look_for_all_queues(place: Place) -> None:
    """The jobs of a dead worker go back all the same: their tokens follow when they are due."""
    async with open_runtime(place.settings()) as opened:
        blocked = Blocked(opened.broker)
        runtime: Any = replace(opened, broker=blocked)
        ledger = Ledger(opened.store, opened.notifier)
        safe = replace(SUBMISSION.spec, repeatable=True)
        jobs = [
            await ledger.claimed(replace(SUBMISSION, queue=f"q{number}", spec=safe))
            for number in range(5)
        ]
        await opened.store.release("w1")
        await Reconciler(runtime).sweep()
        assert blocked.tried == 1
        for job in jobs:
            head = await ledger.head(job.id)
            assert (head.state, head.confirmed) == (JobState.QUEUED, 0)


async def test_tries_at_a_blocked_broker_do_not_fill_the_events_of_a_job(place: Place) -> None:
    """A record keeps so many: those of its tries would be gone after a long outage."""
    async with open_runtime(place.settings()) as opened:
        blocked = Blocked(opened.broker)
        runtime: Any = replace(opened, broker=blocked)
        ledger = Ledger(opened.store, opened.notifier)
        due_now = replace(submit(SUBMISSION, 0), due=Due(after=0))
        job = new_job_id(1)
        await opened.store.commit(job, due_now, version=0)
        await Reconciler(runtime).sweep()
        assert blocked.tried == 1
        head = await ledger.head(job)
        assert (head.version, head.checks) == (1, 0)
        assert [event.name for event in await opened.store.events(job)] == ["submitted"]
        assert await ledger.due_at(head) > await opened.store.now()


class Hung(FolderBlobs):
    """A place for blobs that answers nothing."""

    @override
    async def list(self, holder: str = "") -> AsyncIterator[Listed]:
        await asyncio.Event().wait()
        yield Listed(name=holder, changed_at=0.0)


async def test_blobs_that_cannot_be_deleted_keep_no_job_of_a_dead_worker(
    place: Place, said: Journal, tmp_path: Path
) -> None:
    """Nor the next look: what is over waits, and is deleted once there is an answer."""
    async with open_runtime(place.settings()) as opened:
        store = opened.store
        runtime = replace(opened, blobs=Hung(tmp_path))
        ledger = Ledger(store, opened.notifier)
        over, first = [await ledger.claimed(worker="w1") for _ in range(2)]
        second = await ledger.claimed(worker="w2")
        at_once = RetentionMs(answered=0, completed=0, failed=0, dead=0)
        blob = str(Blob(sha256="0" * 64, size=1))
        await ledger.done(over, complete(over, b"{}", at_once, tool_error=False, blob=blob))
        await store.release("w1")
        async with running(Reconciler(runtime).run()):
            await until_answered(partial(is_lost, store, first.id))
            await until(lambda: said.of("record.stays", job_id=over.id))
            await store.release("w2")
            await until_answered(partial(is_lost, store, second.id))
        assert await store.get(over.id) is not None


async def is_lost(store: JobStore, job: str) -> bool:
    head = await store.get(job)
    assert head is not None
    return head.state is JobState.LOST
