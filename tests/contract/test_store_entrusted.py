"""A job that goes on as a task of its backend, whatever becomes of its workers; on every store."""

from dataclasses import replace

import pytest

from common.jobs.endings import MOST_DEATHS, owner_died
from common.jobs.entrusting import entrust
from common.jobs.state import JobState
from common.jobs.transitions import claim
from tests.support.ledger import RETENTION, SUBMISSION, Ledger

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("repeatable", "state"), [(False, JobState.LOST), (True, JobState.DEAD)])
async def test_a_task_that_kills_all_who_follow_it_is_given_up(
    ledger: Ledger, *, repeatable: bool, state: JobState
) -> None:
    """What it answers with may be more than any worker can take: one after the other would die."""
    spec = replace(SUBMISSION.spec, repeatable=repeatable)
    head = await ledger.claimed(replace(SUBMISSION, spec=spec), worker="w")
    head = await ledger.done(head, entrust(head, "a task"))
    for _ in range(MOST_DEATHS):
        await ledger.store.release("w")
        head = await ledger.done(head, owner_died(head, RETENTION))
        assert head.state is JobState.QUEUED
        await ledger.store.beat("w", {})
        head = await ledger.done(head, claim("w"))
        assert head.tries == 1
    await ledger.store.release("w")
    head = await ledger.done(head, owner_died(head, RETENTION))
    assert head.state is state
