"""What becomes of a job once a run has ended: the whole table."""

from dataclasses import dataclass, replace
from typing import Any, get_args

import pytest

from common.errors import BACKEND_GONE, OUTCOME_UNKNOWN, TIMED_OUT
from common.jobs.change import Add, LeaseGone, Now
from common.jobs.endings import RESULT, RetentionMs
from common.jobs.head import Head, Spec
from common.jobs.questions import QUESTIONS, Round, decode_round
from common.jobs.state import JobState
from common.wire import load_json
from workers import outcome as ended
from workers.outcome import Outcome
from workers.retrying import Terms
from workers.settlement import decide, ours

HALF = Terms(chance=0.5)
RETENTION = RetentionMs(answered=1, completed=2, failed=3, dead=4)
SPEC = Spec(
    backend="b",
    backend_tool="t",
    tool_version="v",
    priority=4,
    attempts=3,
    retry_first_ms=1_000,
    retry_max_ms=3_000,
)
SAFE = replace(SPEC, repeatable=True)
HEAD = Head(
    id="j",
    version=7,
    state=JobState.RUNNING,
    tool="b__t",
    queue="b",
    caller="somebody",
    spec=SPEC,
    owner="w",
    claims=1,
    tries=1,
)
GOOD = ended.Answered({"content": []})
BAD = ended.Answered({"content": [], "isError": True})
REFUSED = ended.Refused({"code": -1, "message": "no", "data": [1]})
ASKED = ended.Asked(Round(number=1, requests={"1.name": {"method": "elicitation/create"}}))
PLEASE_WAIT = ended.Refused({"code": -1, "message": "busy"}, retry_after=2.0)
OVERLOADED = ended.Overloaded("HTTP 429")
NOT_REACHED = ended.NotReached("nobody listens")
NOT_READY = ended.NotReady("its arguments are elsewhere")
CUT_OFF = ended.CutOff("it went away")
VANISHED = ended.Vanished("it went away")
IDLE = ended.TimedOut("idle", 5.0)
RUN = ended.TimedOut("run", 5.0)
DEADLINE = ended.TimedOut("deadline", 5.0)
STOPPED = ended.Stopped()
DRAINED = ended.Drained()


@dataclass(frozen=True, kw_only=True)
class Row:
    outcome: Outcome
    once: str  # what follows for a job that may not run twice, on any try
    again: str  # for a repeatable one that has tries left
    at_last: str  # for a repeatable one on its last try


# What is overloaded has run nothing: any tool may try again.
TABLE = [
    Row(outcome=GOOD, once="completed", again="completed", at_last="completed"),
    Row(outcome=BAD, once="completed", again="completed", at_last="completed"),
    Row(outcome=REFUSED, once="failed", again="failed", at_last="failed"),
    Row(outcome=PLEASE_WAIT, once="failed", again="retried", at_last="dead"),
    Row(outcome=ASKED, once="asked", again="asked", at_last="asked"),
    Row(outcome=NOT_REACHED, once="handed_back", again="handed_back", at_last="handed_back"),
    Row(outcome=NOT_READY, once="handed_back", again="handed_back", at_last="handed_back"),
    Row(outcome=OVERLOADED, once="retried", again="retried", at_last="dead"),
    Row(outcome=CUT_OFF, once="lost", again="retried", at_last="dead"),  # nothing to follow
    Row(outcome=VANISHED, once="lost", again="retried", at_last="dead"),
    Row(outcome=IDLE, once="failed", again="retried", at_last="dead"),
    Row(outcome=RUN, once="failed", again="retried", at_last="dead"),
    Row(outcome=DEADLINE, once="failed", again="failed", at_last="failed"),
    Row(outcome=DRAINED, once="handed_back", again="handed_back", at_last="handed_back"),
    Row(outcome=STOPPED, once="failed", again="failed", at_last="failed"),
]


def name(row: object) -> str:
    return str(row.outcome) if isinstance(row, Row) else str(row)


def running(*, repeatable: bool, tries: int) -> Head:
    return replace(HEAD, spec=replace(SPEC, repeatable=repeatable), tries=tries)


def test_the_table_has_every_outcome_and_every_clock() -> None:
    assert {type(row.outcome) for row in TABLE} == set(get_args(Outcome))
    clocks = {row.outcome.clock for row in TABLE if isinstance(row.outcome, ended.TimedOut)}
    assert clocks == set(get_args(ended.Clock))


@pytest.mark.parametrize("row", TABLE, ids=name)
@pytest.mark.parametrize("tries", [1, 2, 3])
def test_what_follows(row: Row, tries: int) -> None:
    once = decide(row.outcome, running(repeatable=False, tries=tries), RETENTION, HALF)
    if row.outcome is OVERLOADED:
        assert once.name == (row.at_last if tries == 3 else row.again)
    else:
        assert once.name == row.once
    again = decide(row.outcome, running(repeatable=True, tries=tries), RETENTION, HALF)
    assert again.name == (row.at_last if tries == 3 else row.again)


@pytest.mark.parametrize("tries", [1, 3])
@pytest.mark.parametrize("repeatable", [True, False])
def test_a_task_of_the_backend_is_followed_again(tries: int, *, repeatable: bool) -> None:
    head = replace(running(repeatable=repeatable, tries=tries), backend_task="its name")
    change = decide(CUT_OFF, head, RETENTION, HALF)
    assert (change.name, change.fields["tries"]) == ("handed_back", Add(-1))
    assert "backend_task" not in change.fields
    busy = decide(OVERLOADED, head, RETENTION, HALF)
    assert (busy.name, "backend_task" in busy.fields) == ("handed_back", False)


@pytest.mark.parametrize("outcome", [RUN, VANISHED], ids=name)
@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.INPUT_REQUIRED])
def test_the_next_try_is_another_task(outcome: Outcome, state: JobState) -> None:
    head = replace(running(repeatable=True, tries=1), backend_task="its name", state=state)
    assert decide(outcome, head, RETENTION, HALF).fields["backend_task"] == ""


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (REFUSED, -1),
        (VANISHED, OUTCOME_UNKNOWN),
        (IDLE, TIMED_OUT),
        (RUN, TIMED_OUT),
        (DEADLINE, TIMED_OUT),
        (STOPPED, TIMED_OUT),
    ],
    ids=name,
)
def test_the_error_that_is_stored(outcome: Outcome, code: int) -> None:
    change = decide(outcome, HEAD, RETENTION, HALF)
    assert load_json(change.parts[RESULT])["code"] == code


def test_a_dead_letter_says_what_the_last_try_died_of() -> None:
    last = running(repeatable=True, tries=3)
    stored = decide(VANISHED, last, RETENTION, HALF).parts[RESULT]
    assert load_json(stored) == {"code": BACKEND_GONE, "message": "it went away"}


def test_an_error_of_the_protocol_is_stored_as_it_came() -> None:
    change = decide(REFUSED, HEAD, RETENTION, HALF)
    assert load_json(change.parts[RESULT]) == REFUSED.error


@pytest.mark.parametrize(("outcome", "flag"), [(GOOD, 0), (BAD, 1)], ids=name)
def test_a_tools_own_error_is_a_result_with_a_flag(outcome: ended.Answered, flag: int) -> None:
    change = decide(outcome, HEAD, RETENTION, HALF)
    assert change.fields["tool_error"] == flag
    assert load_json(change.parts[RESULT]) == outcome.result


@pytest.mark.parametrize("odd", [None, 1, "true", []])
def test_only_true_is_an_error_of_the_tool(odd: Any) -> None:
    change = decide(ended.Answered({"isError": odd}), HEAD, RETENTION, HALF)
    assert change.fields["tool_error"] == 0


def test_a_call_that_never_reached_the_tool_is_no_try() -> None:
    change = decide(NOT_REACHED, HEAD, RETENTION, HALF)
    assert change.fields["tries"] == Add(-1)
    assert (
        "tries"
        not in decide(
            VANISHED, running(repeatable=True, tries=1), RETENTION, Terms(chance=0)
        ).fields
    )


def test_a_call_that_ends_while_its_question_is_open_ends_the_question() -> None:
    """With its result, or, where the tool may run again and was lost, with the next try."""
    asked = replace(HEAD, state=JobState.INPUT_REQUIRED, answer_by=9, spec=SAFE)
    assert decide(GOOD, asked, RETENTION, HALF).fields["answer_by"] == 0
    again = decide(VANISHED, asked, RETENTION, HALF)
    assert (again.name, again.fields["state"]) == ("started_over", JobState.QUEUED)
    assert (again.fields["answer_by"], again.fields["not_before"]) == (0, Now(500))
    assert "tries" not in again.fields
    once = replace(asked, spec=SPEC)
    assert decide(VANISHED, once, RETENTION, HALF).fields["state"] == JobState.LOST


def test_how_far_a_call_had_come_is_kept_when_it_goes_back() -> None:
    reached = Round(number=3, requests={}, request_state="so far")
    change = decide(ended.NotReached("gone", reached), HEAD, RETENTION, HALF)
    assert decode_round(change.parts[QUESTIONS]) == reached


@pytest.mark.parametrize(
    ("tries", "chance", "delay"),
    [(1, 1.0, 1_000), (2, 1.0, 2_000), (1, 0.0, 0), (2, 0.5, 1_000), (9, 1.0, 3_000)],
)
def test_the_delay_doubles_up_to_its_limit_with_full_jitter(
    tries: int, chance: float, delay: int
) -> None:
    spec = replace(SPEC, repeatable=True, attempts=100)
    change = decide(
        VANISHED, replace(HEAD, spec=spec, tries=tries), RETENTION, Terms(chance=chance)
    )
    assert change.fields["not_before"] == Now(delay)


@pytest.mark.parametrize("row", TABLE, ids=name)
@pytest.mark.parametrize("repeatable", [True, False])
def test_every_settlement_gives_the_claim_back(row: Row, *, repeatable: bool) -> None:
    """Whatever follows, the worker's index has the job no longer; no lease decides."""
    change = decide(row.outcome, running(repeatable=repeatable, tries=1), RETENTION, HALF)
    assert change.fields["owner"] == ""
    assert ("owner:w", None) in {(move.index, move.score) for move in change.moves}
    assert not any(isinstance(guard, LeaseGone) for guard in change.guards)


# --- whose claim it is


@pytest.mark.parametrize(
    ("current", "mine"),
    [
        (HEAD, True),
        (replace(HEAD, version=9), True),
        (replace(HEAD, claims=2, owner="x"), False),
        (replace(HEAD, claims=2), False),
        (replace(HEAD, state=JobState.LOST, owner=""), True),
        (replace(HEAD, state=JobState.LOST, owner="", claims=2), False),
        (replace(HEAD, state=JobState.CANCELLED, still_running=True), True),
        (replace(HEAD, state=JobState.CANCELLED, still_running=False, owner=""), False),
        (replace(HEAD, state=JobState.INPUT_REQUIRED), True),
        (replace(HEAD, state=JobState.INPUT_REQUIRED, owner=""), False),
        (replace(HEAD, state=JobState.INPUT_REQUIRED, claims=2), False),
        (replace(HEAD, state=JobState.QUEUED, owner=""), False),
        (replace(HEAD, state=JobState.WAITING, owner=""), False),
        (replace(HEAD, state=JobState.COMPLETED, owner=""), False),
        (replace(HEAD, state=JobState.FAILED, owner=""), False),
        (replace(HEAD, state=JobState.DEAD, owner=""), False),
    ],
)
def test_a_run_settles_only_under_its_own_claim(current: Head, *, mine: bool) -> None:
    assert ours(HEAD, current) is mine
