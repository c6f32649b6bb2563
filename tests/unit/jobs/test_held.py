"""Held until a time: how such a record begins, when it is let go, and what its clocks count."""

from dataclasses import replace

import pytest

from common.errors import TIMED_OUT
from common.jobs.change import Due, Move, Now
from common.jobs.decisions import Facts, Fail, Leave, TakeTurn, decide_due
from common.jobs.held import RunAt, release, schedule
from common.jobs.indexes import PRIORITY_STEP, SCHEDULED, queue_index
from common.jobs.state import JobState
from common.jobs.transitions import IllegalMoveError, due_of
from tests.support.heads import SPEC, a_head
from tests.support.ledger import SUBMISSION

NOW = 1_000_000
LATER = NOW + 60_000


def waits_until(ms: int, **more: int) -> dict[str, int]:
    return {"run_at": ms, "not_before": ms, **more}


@pytest.mark.parametrize("run_at", [LATER, Now(60_000)])
def test_its_clocks_begin_when_it_may_run(run_at: RunAt) -> None:
    clocked = replace(SUBMISSION, queue_ms=5_000, deadline_ms=9_000)
    change = schedule(clocked, run_at, NOW)
    assert "queue_deadline" not in change.fields
    assert change.fields["deadline"] == (Now(69_000) if isinstance(run_at, Now) else LATER + 9_000)
    assert change.due == Due(fields=("not_before", "deadline", "cancel_at"))


def test_it_stands_behind_all_that_waits_now() -> None:
    moves = {move.index: move.score for move in schedule(SUBMISSION, LATER, NOW).moves}
    assert moves[queue_index("exporter")] == 10 * PRIORITY_STEP + LATER
    assert moves[SCHEDULED] == LATER
    assert "state:held" in moves
    assert "state:queued" not in moves


def test_it_takes_its_turn_when_its_time_has_come() -> None:
    held = a_head(JobState.HELD, **waits_until(LATER))
    assert decide_due(held, LATER - 1, Facts()) == Leave()
    assert decide_due(held, LATER, Facts()) == TakeTurn()
    assert due_of(held) == Due(fields=("not_before", "deadline", "cancel_at", "answer_by"))


def test_a_clock_that_is_out_ends_it_while_it_is_held() -> None:
    held = a_head(JobState.HELD, **waits_until(LATER, deadline=NOW))
    action = decide_due(held, NOW, Facts())
    assert isinstance(action, Fail)
    assert action.code == TIMED_OUT


def test_the_queue_clock_of_a_released_job_begins_with_its_release() -> None:
    spec = replace(SPEC, queue_ms=5_000)
    change = release(a_head(JobState.HELD, spec=spec, **waits_until(LATER)))
    assert change.fields["queue_deadline"] == Now(5_000)
    assert change.fields["queued_at"] == Now()
    assert change.fields["not_before"] == 0
    assert Move(SCHEDULED, None) in change.moves


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.HELD}))
def test_only_a_held_job_is_released(state: JobState) -> None:
    with pytest.raises(IllegalMoveError):
        release(a_head(state))
