"""Jobs that wait for answers, on every store; invariants after every test."""

from dataclasses import replace

import pytest

from common.jobs.asking import answer, ask, ask_owned, conclude
from common.jobs.change import Done, Refused
from common.jobs.endings import cancel, complete, owner_died
from common.jobs.head import Head
from common.jobs.indexes import owner_index, queue_index
from common.jobs.questions import ELICITATION, QUESTIONS, Round, decode_round
from common.jobs.state import JobState
from common.jobs.transitions import CHECK_MS, LEASE_MS, claim
from tests.support.ledger import RETENTION, SUBMISSION, Ledger

pytestmark = pytest.mark.anyio

QUEUE = queue_index("exporter")
OWNER = owner_index("w1")
FORM = {"method": ELICITATION, "params": {"message": "Who?"}}
ASKED = Round(
    number=1,
    requests={"1.a": FORM, "1.b": FORM},
    request_state='é\u2028"\\ \U0001f600 +/=\u0000',
)
PARTLY = replace(ASKED, answers={"1.a": {"action": "decline"}})
ANSWERED = replace(ASKED, answers={**PARTLY.answers, "1.b": {"action": "cancel"}})
REPEATABLE = replace(SUBMISSION, spec=replace(SUBMISSION.spec, repeatable=True))


async def stored(ledger: Ledger, head: Head) -> Round:
    raw = await ledger.store.part(head.id, QUESTIONS)
    assert raw is not None
    return decode_round(raw)


async def test_a_free_question_and_its_answers(ledger: Ledger) -> None:
    head = await ledger.claimed()
    head = await ledger.done(head, ask(head, ASKED, 9_000))
    assert (head.state, head.owner, head.tries, head.claims) == (JobState.INPUT_REQUIRED, "", 0, 1)
    assert await ledger.members(OWNER) == set()
    assert await ledger.store.rank(QUEUE, head.id) is None
    assert await ledger.due_at(head) == head.answer_by
    assert await stored(ledger, head) == ASKED
    head = await ledger.done(head, answer(head, PARTLY, complete=False))
    assert (head.state, await stored(ledger, head)) == (JobState.INPUT_REQUIRED, PARTLY)
    assert await ledger.due_at(head) == head.answer_by
    head = await ledger.done(head, answer(head, ANSWERED, complete=True))
    assert (head.state, head.generation, head.answer_by) == (JobState.QUEUED, 2, 0)
    assert await ledger.store.rank(QUEUE, head.id) == 0
    answered = await ledger.store.commit(head.id, claim("w1"), version=head.version)
    assert isinstance(answered, Done)
    assert decode_round(answered.parts[QUESTIONS]) == ANSWERED
    assert answered.head.tries == 1


async def test_a_first_claim_brings_no_questions(ledger: Ledger) -> None:
    head = await ledger.submitted()
    await ledger.store.beat("w1", {})
    claimed = await ledger.store.commit(head.id, claim("w1"), version=head.version)
    assert isinstance(claimed, Done)
    assert claimed.parts.keys() == {"call"}


async def test_a_long_deadline_is_looked_at_in_between(ledger: Ledger) -> None:
    head = await ledger.claimed()
    head = await ledger.done(head, ask(head, ASKED, 3_600_000))
    at = (await ledger.store.events(head.id))[-1].at
    assert (await ledger.due_at(head), head.answer_by) == (at + CHECK_MS, at + 3_600_000)


async def test_of_two_who_answer_one_is_told_to_look_again(ledger: Ledger) -> None:
    head = await ledger.claimed()
    head = await ledger.done(head, ask(head, ASKED, 9_000))
    both = [answer(head, PARTLY, complete=False), answer(head, ANSWERED, complete=True)]
    first, second = [
        await ledger.store.commit(head.id, change, version=head.version) for change in both
    ]
    assert isinstance(first, Done)
    assert first.head.version == head.version + 1
    assert isinstance(second, Refused)
    assert second.guard == "version"
    assert await stored(ledger, head) == PARTLY


async def test_what_is_answered_because_nobody_did_is_not_before_its_time(ledger: Ledger) -> None:
    head = await ledger.claimed()
    head = await ledger.done(head, ask(head, ASKED, 60_000))
    early = conclude(head, ANSWERED, RETENTION, too_late=True)
    assert (await ledger.refused(head, early)).guard == "TimeReached"
    second = await ledger.claimed()
    second = await ledger.done(second, ask(second, ASKED, 0))
    late = conclude(second, ANSWERED, RETENTION, too_late=True)
    assert (await ledger.done(second, late)).state is JobState.QUEUED


async def test_an_owned_question_keeps_its_claim(ledger: Ledger) -> None:
    head = await ledger.claimed()
    head = await ledger.done(head, ask_owned(head, ASKED, 60_000))
    assert (head.state, head.claim) == (JobState.INPUT_REQUIRED, ("w1", 1))
    assert await ledger.members(OWNER) == {head.id}
    at = (await ledger.store.events(head.id))[-1].at
    assert await ledger.due_at(head) == at + LEASE_MS
    head = await ledger.done(head, answer(head, ANSWERED, complete=True))
    assert (head.state, head.claim, head.tries) == (JobState.RUNNING, ("w1", 1), 1)
    assert await ledger.members(OWNER) == {head.id}
    head = await ledger.done(head, complete(head, b"{}", RETENTION, tool_error=False))
    assert await ledger.members(OWNER) == set()


async def test_a_call_may_end_while_its_question_is_open(ledger: Ledger) -> None:
    head = await ledger.claimed()
    head = await ledger.done(head, ask_owned(head, ASKED, 60_000))
    head = await ledger.done(head, complete(head, b"{}", RETENTION, tool_error=False))
    assert (head.state, head.answer_by, head.owner) == (JobState.COMPLETED, 0, "")


@pytest.mark.parametrize("repeatable", [True, False])
async def test_the_owner_of_a_question_dies(ledger: Ledger, *, repeatable: bool) -> None:
    head = await ledger.claimed(REPEATABLE if repeatable else SUBMISSION)
    head = await ledger.done(head, ask_owned(head, ASKED, 60_000))
    died = owner_died(head, RETENTION)
    assert (await ledger.refused(head, died)).guard == "LeaseGone"
    await ledger.store.release("w1")
    assert await ledger.due_at(head) <= await ledger.store.now()
    head = await ledger.done(head, died)
    assert head.state is (JobState.QUEUED if repeatable else JobState.LOST)
    assert (head.answer_by, head.owner) == (0, "")


async def test_a_question_is_cancelled_with_its_job(ledger: Ledger) -> None:
    head = await ledger.claimed()
    head = await ledger.done(head, ask(head, ASKED, 60_000))
    head = await ledger.done(head, cancel(head, "not needed", RETENTION))
    assert (head.state, head.still_running, head.answer_by) == (JobState.CANCELLED, False, 0)
    owned = await ledger.claimed()
    owned = await ledger.done(owned, ask_owned(owned, ASKED, 60_000))
    owned = await ledger.done(owned, cancel(owned, "not needed", RETENTION))
    assert (owned.state, owned.still_running, owned.owner) == (JobState.CANCELLED, True, "w1")


async def test_a_removed_record_leaves_no_questions(ledger: Ledger) -> None:
    head = await ledger.claimed()
    head = await ledger.done(head, ask(head, ASKED, 60_000))
    head = await ledger.done(head, cancel(head, "not needed", RETENTION))
    assert await ledger.store.remove(head.id, version=head.version)
    assert await ledger.store.part(head.id, QUESTIONS) is None
