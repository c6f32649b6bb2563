"""A call that never reached its tool goes back, and its queue's clock goes on; on every store."""

from dataclasses import replace

import pytest

from common.jobs.asking import ask, start_over
from common.jobs.head import Head
from common.jobs.questions import Round
from common.jobs.transitions import Submission, claim, hand_back, retry
from tests.support.ledger import SUBMISSION, Ledger

pytestmark = pytest.mark.anyio

CLOCKED: Submission = replace(
    SUBMISSION, queue_ms=60_000, spec=replace(SUBMISSION.spec, queue_ms=60_000)
)
ERROR = {"code": 1, "message": "no"}
QUESTIONS = Round(number=1, requests={"1.a": {"method": "roots/list"}})


async def claimed_again(ledger: Ledger, head: Head) -> Head:
    return await ledger.done(head, claim("w1"))


async def test_the_queue_clock_stands_while_it_is_claimed_and_then_goes_on(ledger: Ledger) -> None:
    head = await ledger.claimed(CLOCKED)
    waited = head.started_at - head.created_at
    head = await ledger.done(head, hand_back(head, "nobody listens", 0))
    assert head.hand_backs == 1
    assert head.queue_deadline == head.queued_at + 60_000 - waited
    before = head
    head = await claimed_again(ledger, head)
    assert (head.queue_deadline, await ledger.due_at(head)) != (before.queue_deadline, 0)
    assert head.queue_deadline == 0
    waited += head.started_at - before.queued_at
    head = await ledger.done(head, hand_back(head, "nobody listens", 0))
    assert head.queue_deadline == head.queued_at + 60_000 - waited
    assert head.hand_backs == 2


async def test_a_clock_that_is_nearly_out_ends_it_soon(ledger: Ledger) -> None:
    short = replace(CLOCKED, spec=replace(CLOCKED.spec, queue_ms=1))
    head = await ledger.claimed(short)
    head = await ledger.done(head, hand_back(head, "nobody listens", 60_000))
    assert 0 < head.queue_deadline <= head.queued_at + 1
    assert await ledger.due_at(head) == head.queue_deadline
    while await ledger.store.now() < head.queue_deadline:
        pass
    refused = await ledger.refused(head, claim("w1"))
    assert refused.guard in {"TimeReached", "TimeBefore"}


async def test_without_a_clock_none_is_made(ledger: Ledger) -> None:
    head = await ledger.claimed()
    head = await ledger.done(head, hand_back(head, "nobody listens", 0))
    assert (head.queue_deadline, head.queue_left) == (0, 0)


async def test_the_clock_is_for_the_first_start_alone(ledger: Ledger) -> None:
    """After a try, or a question, the job has started: what follows is no wait for a slot."""
    head = await ledger.claimed(CLOCKED)
    head = await claimed_again(ledger, await ledger.done(head, retry(head, 0, ERROR)))
    head = await ledger.done(head, hand_back(head, "nobody listens", 0))
    assert (head.queue_deadline, head.hand_backs) == (0, 1)
    head = await claimed_again(ledger, head)
    head = await ledger.done(head, retry(head, 0, ERROR))
    assert head.hand_backs == 0
    head = await claimed_again(ledger, head)
    head = await ledger.done(head, start_over(head, "lost while it asked", 0))
    assert (head.queue_deadline, head.hand_backs, head.tries) == (0, 0, 3)
    other = await ledger.claimed(CLOCKED)
    other = await ledger.done(other, ask(other, QUESTIONS, 60_000))
    assert (other.hand_backs, other.queue_deadline) == (0, 0)
