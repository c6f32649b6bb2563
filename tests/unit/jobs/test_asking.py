"""The transitions of a job whose tool asks: free or owned, in part, in time or not."""

from dataclasses import replace

import pytest

from common.errors import UNANSWERED
from common.jobs.asking import answer, ask, ask_owned, conclude, start_over
from common.jobs.change import Add, Move, Now, TimeReached
from common.jobs.endings import RESULT, RetentionMs
from common.jobs.head import Head
from common.jobs.indexes import owner_index
from common.jobs.questions import ELICITATION, QUESTIONS, SAMPLING, Round, decode_round
from common.jobs.state import JobState
from common.jobs.transitions import LEASE_MS, IllegalMoveError
from common.wire import load_json
from tests.support.heads import a_head

RETENTION = RetentionMs(answered=1, completed=2, failed=3, dead=4)
ASKED = Round(
    number=2,
    requests={"2.name": {"method": ELICITATION, "params": {"message": "Who?"}}},
    request_state="é\u0001 opaque",
)
ANSWERED = replace(ASKED, answers={"2.name": {"action": "accept", "content": {"name": "Ada"}}})
RUNS = a_head(JobState.RUNNING)
FREE = a_head(JobState.INPUT_REQUIRED, owner="", answer_by=9_000)
OWNED = a_head(JobState.INPUT_REQUIRED, answer_by=9_000)
NOT_ASKED = sorted(set(JobState) - {JobState.INPUT_REQUIRED})


def test_a_free_question_gives_claim_and_try_back() -> None:
    change = ask(RUNS, ASKED, 60_000)
    assert change.fields["state"] == JobState.INPUT_REQUIRED
    assert (change.fields["owner"], change.fields["tries"]) == ("", Add(-1))
    assert change.fields["answer_by"] == Now(60_000)
    assert Move(owner_index("w1"), None) in change.moves
    assert "answer_by" in change.due.fields
    assert decode_round(change.parts[QUESTIONS]) == ASKED


def test_an_event_says_what_kind_was_asked_and_never_what() -> None:
    assert ask(RUNS, ASKED, 1).facts == {"round": 2, "asked": {"2.name": ELICITATION}}


def test_an_owned_question_keeps_claim_and_owner() -> None:
    change = ask_owned(RUNS, ASKED, 60_000)
    assert change.fields["state"] == JobState.INPUT_REQUIRED
    assert change.fields.keys().isdisjoint({"owner", "tries", "claims", "generation"})
    assert not any(move.index.startswith("owner:") for move in change.moves)
    assert (change.due.after, "answer_by" in change.due.fields) == (LEASE_MS, True)


def test_a_tool_that_gave_up_waiting_may_ask_again() -> None:
    change = ask_owned(OWNED, ASKED, 60_000)
    assert "state" not in change.fields
    assert change.moves == ()
    with pytest.raises(IllegalMoveError):
        ask_owned(FREE, ASKED, 60_000)


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.RUNNING}))
def test_only_what_runs_asks(state: JobState) -> None:
    with pytest.raises(IllegalMoveError):
        ask(a_head(state), ASKED, 1)
    if state is not JobState.INPUT_REQUIRED:
        with pytest.raises(IllegalMoveError):
            ask_owned(a_head(state), ASKED, 1)


@pytest.mark.parametrize("state", NOT_ASKED)
def test_only_what_was_asked_is_answered(state: JobState) -> None:
    with pytest.raises(IllegalMoveError):
        answer(a_head(state), ANSWERED, complete=True)


def test_an_answered_free_question_goes_back_to_the_queue() -> None:
    change = answer(FREE, ANSWERED, complete=True)
    assert (change.fields["state"], change.fields["generation"]) == (JobState.QUEUED, Add(1))
    assert (change.fields["answer_by"], change.wake_owner) == (0, False)
    assert any(move.index == "queue:exporter" and move.score for move in change.moves)
    assert decode_round(change.parts[QUESTIONS]) == ANSWERED


def test_an_answered_owned_question_runs_on_where_it_is() -> None:
    change = answer(OWNED, ANSWERED, complete=True)
    assert (change.fields["state"], change.fields["answer_by"]) == (JobState.RUNNING, 0)
    assert "generation" not in change.fields
    assert change.wake_owner


@pytest.mark.parametrize("head", [FREE, OWNED])
def test_a_part_of_the_answers_is_only_stored(head: Head) -> None:
    change = answer(head, ANSWERED, complete=False)
    assert (change.fields, change.moves, change.wake_owner) == ({}, (), False)
    assert "answer_by" in change.due.fields
    assert decode_round(change.parts[QUESTIONS]) == ANSWERED


def test_answers_given_because_nobody_did_rest_on_the_time() -> None:
    assert answer(FREE, ANSWERED, complete=True).guards == ()
    change = answer(FREE, ANSWERED, complete=True, too_late=True)
    assert change.guards == (TimeReached("answer_by"),)


def test_a_refusal_ends_a_job_whose_backend_has_no_way_to_be_told() -> None:
    refused = Round(
        number=1,
        requests={"1.story": {"method": SAMPLING, "params": {}}},
        answers={"1.story": {"error": {"code": -1, "message": "not with my model"}}},
    )
    change = conclude(FREE, refused, RETENTION)
    assert change.fields["state"] == JobState.FAILED
    error = load_json(change.parts[RESULT])
    assert error["code"] == UNANSWERED
    assert "not with my model" in error["message"]
    assert conclude(OWNED, refused, RETENTION).fields["state"] == JobState.RUNNING
    assert conclude(FREE, ANSWERED, RETENTION).fields["state"] == JobState.QUEUED


def test_a_call_that_is_lost_with_its_question_counts_as_a_try() -> None:
    change = start_over(OWNED, "it went away", 700)
    assert (change.fields["state"], change.fields["not_before"]) == (JobState.QUEUED, Now(700))
    assert "tries" not in change.fields
    assert (change.fields["answer_by"], change.fields["owner"]) == (0, "")
