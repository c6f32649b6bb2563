"""Held records in every store: due on time, in their indexes, and released once."""

from dataclasses import replace

import pytest

from common.jobs.change import Now, Refused
from common.jobs.endings import cancel
from common.jobs.head import Head
from common.jobs.held import release, schedule
from common.jobs.indexes import SCHEDULED
from common.jobs.state import JobState
from common.jobs.transitions import Submission, claim
from tests.support.ledger import RETENTION, SUBMISSION, Ledger, a_job_id, check_invariants

pytestmark = pytest.mark.anyio

CLOCKED = replace(
    SUBMISSION, spec=replace(SUBMISSION.spec, queue_ms=5_000), queue_ms=5_000, deadline_ms=9_000
)


async def scheduled(ledger: Ledger, run_at: int | Now, submission: Submission = CLOCKED) -> Head:
    job = a_job_id()
    change = schedule(submission, run_at, await ledger.store.now())
    assert not isinstance(await ledger.store.commit(job, change, version=0), Refused)
    return await ledger.head(job)


async def test_it_is_due_at_its_time_and_not_before(ledger: Ledger) -> None:
    before = await ledger.store.now()
    head = await scheduled(ledger, Now(60_000))
    assert head.state is JobState.HELD
    assert before + 60_000 <= head.run_at == head.not_before <= await ledger.store.now() + 60_000
    assert (head.deadline, head.queue_deadline) == (head.run_at + 9_000, 0)
    assert await ledger.due_at(head) == head.run_at
    assert await ledger.store.oldest(SCHEDULED) == head.run_at
    assert await ledger.store.due(10) == []
    await check_invariants(ledger)


async def test_what_is_due_is_taken_and_released_once(ledger: Ledger) -> None:
    head = await scheduled(ledger, await ledger.store.now() - 5)
    (due,) = await ledger.store.due(10)
    assert due == head
    released = await ledger.done(head, release(head))
    assert released.state is JobState.QUEUED
    assert released.queue_deadline == released.queued_at + 5_000
    assert await ledger.store.count(SCHEDULED) == 0
    again = await ledger.store.commit(head.id, release(head), version=head.version)
    assert isinstance(again, Refused)
    assert again.guard == "version"
    await check_invariants(ledger)


async def test_a_held_job_is_never_claimed(ledger: Ledger) -> None:
    head = await scheduled(ledger, await ledger.store.now() - 5)
    await ledger.store.beat("w1", {})
    assert (await ledger.refused(head, claim("w1"))).guard == "OneOf"


async def test_a_cancelled_one_is_out_of_every_index_of_those_that_wait(ledger: Ledger) -> None:
    head = await scheduled(ledger, Now(60_000))
    await ledger.done(head, cancel(head, "not any more", RETENTION))
    assert await ledger.store.count(SCHEDULED) == 0
    await check_invariants(ledger)
