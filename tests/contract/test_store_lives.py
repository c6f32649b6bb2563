"""Whole lives of jobs through their transitions, on every store; invariants after every test."""

from dataclasses import replace

import orjson
import pytest

from common.errors import OUTCOME_UNKNOWN
from common.jobs.attaching import hand_off
from common.jobs.change import Change, Done, LeaseGone, Note, Refused
from common.jobs.endings import (
    RAW,
    RESULT,
    bury,
    bury_token,
    cancel,
    complete,
    fail,
    keep,
    let_go,
    lose,
    owner_died,
)
from common.jobs.entrusting import entrust
from common.jobs.indexes import owner_index, queue_index
from common.jobs.state import JobState
from common.jobs.transitions import (
    FIRST_CHECK_MS,
    LEASE_MS,
    check,
    claim,
    hand_back,
    park,
    retry,
)
from tests.support.ledger import RETENTION, SUBMISSION, Ledger, a_job_id

pytestmark = pytest.mark.anyio

ERROR = {"code": -32_603, "message": "the disk is full"}
QUEUE = queue_index("exporter")
OWNER = owner_index("w1")
REPEATABLE = replace(SUBMISSION, spec=replace(SUBMISSION.spec, repeatable=True, attempts=2))
HELD = replace(SUBMISSION, holder="i1", watcher="i1")


async def names(ledger: Ledger, job_id: str) -> list[str]:
    return [event.name for event in await ledger.store.events(job_id)]


async def test_a_quick_job(ledger: Ledger) -> None:
    head = await ledger.submitted()
    assert await ledger.store.rank(QUEUE, head.id) == 0
    head = await ledger.done(head, await a_claim(ledger))
    assert (head.state, head.claim, head.tries) == (JobState.RUNNING, ("w1", 1), 1)
    assert head.started_at >= head.created_at
    assert await ledger.store.rank(QUEUE, head.id) is None
    assert await ledger.members(OWNER) == {head.id}
    assert await ledger.due_at(head) == head.started_at + LEASE_MS
    head = await ledger.done(head, complete(head, b'{"x":1}', RETENTION, tool_error=True))
    assert (head.state, head.tool_error, head.owner) == (JobState.COMPLETED, True, "")
    assert await ledger.store.part(head.id, RESULT) == b'{"x":1}'
    assert await ledger.due_at(head) == head.finished_at + RETENTION.completed
    assert await names(ledger, head.id) == ["submitted", "claimed", "completed"]


async def test_a_job_that_is_retried_until_it_is_dead(ledger: Ledger) -> None:
    head = await ledger.claimed()
    head = await ledger.done(head, retry(head, 700, ERROR))
    assert (head.state, head.generation, head.tries, head.owner) == (JobState.WAITING, 2, 1, "")
    assert head.reason == "try 1 failed: the disk is full"
    assert await ledger.due_at(head) == head.not_before + FIRST_CHECK_MS
    assert await ledger.store.rank(QUEUE, head.id) == 0
    early = await ledger.refused(head, claim("w1"))
    assert early.guard == "TimeReached"
    head = await ledger.done(head, bury(head, ERROR, RETENTION))
    assert (head.state, await ledger.store.count(QUEUE)) == (JobState.DEAD, 0)
    assert await ledger.due_at(head) == head.finished_at + RETENTION.dead
    result = await ledger.store.part(head.id, RESULT)
    assert result is not None
    assert orjson.loads(result) == ERROR


async def test_a_second_try_after_the_delay(ledger: Ledger) -> None:
    head = await ledger.claimed()
    head = await ledger.done(head, retry(head, 0, ERROR))
    head = await ledger.done(head, claim("w1"))
    assert (head.state, head.claims, head.tries, head.not_before) == (JobState.RUNNING, 2, 2, 0)


async def test_a_job_that_never_reached_its_tool(ledger: Ledger) -> None:
    head = await ledger.claimed()
    place = head.created_at
    head = await ledger.done(head, hand_back(head, "the worker drains", 0))
    assert (head.state, head.generation) == (JobState.QUEUED, 2)
    assert (head.tries, head.claims, head.not_before) == (0, 1, 0)
    assert (await ledger.store.score(QUEUE, head.id) or 0) % 10**13 == place
    head = await ledger.done(head, claim("w1"))
    assert (head.tries, head.claims) == (1, 2)


async def test_a_job_that_is_parked(ledger: Ledger) -> None:
    head = await ledger.submitted()
    head = await ledger.done(head, park(head, 2_000, "no free place"))
    assert (head.state, head.generation, head.reason) == (JobState.QUEUED, 2, "no free place")
    assert await ledger.due_at(head) == head.not_before + FIRST_CHECK_MS
    assert await ledger.store.rank(QUEUE, head.id) == 0


async def test_a_clock_that_ran_out_keeps_it_from_being_claimed(ledger: Ledger) -> None:
    for clocked in (replace(SUBMISSION, queue_ms=1), replace(SUBMISSION, deadline_ms=1)):
        head = await ledger.submitted(clocked)
        limit = head.queue_deadline or head.deadline
        assert limit == head.created_at + 1
        assert await ledger.due_at(head) == limit
        await beaten(ledger, "w1")
        while await ledger.store.now() < limit:
            pass
        assert (await ledger.refused(head, claim("w1"))).guard == "TimeBefore"
        head = await ledger.done(head, fail(head, ERROR, RETENTION))
        assert (head.state, head.reason) == (JobState.FAILED, "the disk is full")
        assert await ledger.due_at(head) == head.finished_at + RETENTION.failed


async def test_the_queue_limit_ends_with_the_claim_and_the_deadline_does_not(
    ledger: Ledger,
) -> None:
    clocks = replace(SUBMISSION, queue_ms=60_000, deadline_ms=5_000)
    head = await ledger.claimed(clocks)
    assert (head.queue_deadline, head.deadline) == (0, head.created_at + 5_000)
    assert await ledger.due_at(head) == head.deadline


async def test_a_cancelled_run_keeps_its_place_until_the_tool_lets_go(ledger: Ledger) -> None:
    head = await ledger.claimed()
    head = await ledger.done(head, cancel(head, "not needed", RETENTION))
    assert (head.state, head.still_running, head.owner) == (JobState.CANCELLED, True, "w1")
    assert await ledger.members(OWNER) == {head.id}
    assert await ledger.due_at(head) == head.finished_at + LEASE_MS
    gone = let_go(head, RETENTION, seen_gone=True)
    assert (await ledger.refused(head, gone)).guard == "LeaseGone"
    head = await ledger.done(head, let_go(head, RETENTION))
    assert (head.state, head.still_running, head.owner) == (JobState.CANCELLED, False, "")
    assert await ledger.members(OWNER) == set()


async def test_a_job_cancelled_while_it_waits(ledger: Ledger) -> None:
    head = await ledger.submitted()
    head = await ledger.done(head, cancel(head, "not needed", RETENTION))
    assert (head.state, head.still_running) == (JobState.CANCELLED, False)
    assert await ledger.store.count(QUEUE) == 0


async def test_a_lost_job_and_its_late_finish(ledger: Ledger) -> None:
    head = await ledger.claimed()
    change = owner_died(head, RETENTION)
    assert (await ledger.refused(head, change)).guard == LeaseGone.__name__
    await ledger.store.release("w1")
    head = await ledger.done(head, change)
    assert (head.state, head.lost_at, head.owner) == (JobState.LOST, head.finished_at, "")
    assert await ledger.due_at(head) == head.finished_at + RETENTION.dead
    result = await ledger.store.part(head.id, RESULT)
    assert result is not None
    assert orjson.loads(result)["code"] == OUTCOME_UNKNOWN
    lost_at = head.lost_at
    head = await ledger.done(head, complete(head, b"{}", RETENTION, tool_error=False))
    assert (head.state, head.lost_at) == (JobState.COMPLETED, lost_at)
    assert await ledger.store.part(head.id, RESULT) == b"{}"


async def test_a_repeatable_job_outlives_its_workers_up_to_its_limit(ledger: Ledger) -> None:
    head = await ledger.claimed(REPEATABLE, worker="w1")
    await ledger.store.release("w1")
    head = await ledger.done(head, owner_died(head, RETENTION))
    assert (head.state, head.generation, head.tries) == (JobState.QUEUED, 2, 1)
    await beaten(ledger, "w2")
    head = await ledger.done(head, claim("w2"))
    assert (head.tries, head.claim) == (2, ("w2", 2))
    await ledger.store.release("w2")
    head = await ledger.done(head, owner_died(head, RETENTION))
    assert head.state is JobState.DEAD


async def test_a_job_that_its_backend_goes_on_with_outlives_its_worker(ledger: Ledger) -> None:
    head = await ledger.claimed(worker="w1")
    head = await ledger.done(head, entrust(head, "ü task"))
    assert await ledger.due_at(head) - await ledger.store.now() <= LEASE_MS
    await ledger.store.release("w1")
    head = await ledger.done(head, owner_died(head, RETENTION))
    assert (head.state, head.tries, head.owner) == (JobState.QUEUED, 0, "")
    await beaten(ledger, "w2")
    head = await ledger.done(head, claim("w2"))
    assert (head.backend_task, head.tries, head.claims) == ("ü task", 1, 2)
    head = await ledger.done(head, retry(head, 0, {"code": 1, "message": "it was forgotten"}))
    assert head.backend_task == ""


async def test_two_who_find_the_owner_gone_settle_it_once(ledger: Ledger) -> None:
    head = await ledger.claimed()
    await ledger.store.release("w1")
    change = lose(head, "it died", RETENTION, seen_gone=True)
    answers = [await ledger.store.commit(head.id, change, version=2) for _ in range(2)]
    assert isinstance(answers[0], Done)
    assert isinstance(answers[1], Refused)
    assert answers[1].guard == "version"


async def test_a_worker_that_was_given_up_cannot_settle(ledger: Ledger) -> None:
    head = await ledger.claimed(REPEATABLE)
    await ledger.store.release("w1")
    await ledger.done(head, owner_died(head, RETENTION))
    late = complete(head, b"late", RETENTION, tool_error=False)
    answer = await ledger.store.commit(head.id, late, version=head.version)
    assert isinstance(answer, Refused)
    assert await ledger.store.part(head.id, RESULT) is None
    assert not await ledger.store.note(head.id, Note(fields={"progress": "[9,9,null]"}, claim=1))


# --- a call that is held


async def test_a_held_call_answered_on_its_own_response_is_kept_briefly(ledger: Ledger) -> None:
    head = await ledger.claimed(HELD)
    assert (head.holder, head.handed_off, head.watchers) == ("i1", False, "i1")
    head = await ledger.done(head, complete(head, b"{}", RETENTION, tool_error=False))
    assert await ledger.due_at(head) == head.finished_at + RETENTION.answered
    assert await ledger.store.note(head.id, Note(fields={"answered": 1}))
    assert (await ledger.head(head.id)).answered
    kept = await ledger.done(head, keep(head, RETENTION))
    assert (kept.handed_off, kept.holder) == (True, "")
    assert await ledger.due_at(kept) > head.finished_at + RETENTION.completed - 1


@pytest.mark.parametrize("cancel_after", [None, 900])
async def test_a_held_call_whose_id_is_given_out(ledger: Ledger, cancel_after: int | None) -> None:
    """Which is no reason to look after it any later."""
    head = await ledger.submitted(HELD)
    looked_at = await ledger.due_at(head)
    head = await ledger.done(head, hand_off(head, "held long", cancel_after))
    assert (head.handed_off, head.holder) == (True, "")
    at = (await ledger.store.events(head.id))[-1].at
    assert head.cancel_at == (0 if cancel_after is None else at + cancel_after)
    assert await ledger.due_at(head) == (head.cancel_at or looked_at)
    head = await ledger.done(head, await a_claim(ledger))
    head = await ledger.done(head, complete(head, b"{}", RETENTION, tool_error=False))
    assert head.cancel_at == 0
    assert await ledger.due_at(head) == head.finished_at + RETENTION.completed


async def test_the_holder_is_given_up_only_when_its_lease_is_gone(ledger: Ledger) -> None:
    await beaten(ledger, "i1")
    head = await ledger.submitted(HELD)
    change = hand_off(head, "its ingress died", seen_gone=True)
    assert (await ledger.refused(head, change)).guard == "LeaseGone"
    await ledger.store.release("i1")
    assert (await ledger.done(head, change)).handed_off


# --- the rest


async def test_a_check_counts_and_comes_back(ledger: Ledger) -> None:
    head = await ledger.submitted()
    head = await ledger.done(head, check(head))
    assert (head.checks, head.published_at > 0) == (1, True)
    assert await ledger.due_at(head) == head.published_at + FIRST_CHECK_MS


async def test_a_token_without_a_job_becomes_a_dead_letter(ledger: Ledger) -> None:
    raw = b"\x00 not json \xff"
    job_id = a_job_id()
    change = bury_token("exporter", raw, "not a token", RETENTION)
    assert isinstance(await ledger.store.commit(job_id, change, version=0), Done)
    head = await ledger.head(job_id)
    assert (head.state, head.queue, head.tool) == (JobState.DEAD, "exporter", "")
    assert await ledger.store.part(job_id, RAW) == raw
    assert await ledger.due_at(head) == head.finished_at + RETENTION.dead
    assert await ledger.store.remove(job_id, version=1)
    assert await ledger.store.part(job_id, RAW) is None


async def a_claim(ledger: Ledger) -> Change:
    await beaten(ledger, "w1")
    return claim("w1")


async def beaten(ledger: Ledger, lease: str) -> None:
    await ledger.store.beat(lease, {})
