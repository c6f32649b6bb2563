"""Held until a time: how such a record begins, when it is let go, and what its clocks count."""

from dataclasses import replace

import pytest

from common.errors import TIMED_OUT
from common.jobs.change import Due, Move, Now, Window
from common.jobs.decisions import Facts, Fail, Leave, TakeTurn, decide_due
from common.jobs.held import RunAt, creation, line_up, release, schedule
from common.jobs.indexes import PRIORITY_STEP, SCHEDULED, held_score, queue_index
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
    change = release(a_head(JobState.HELD, spec=spec, **waits_until(LATER)), 8)
    assert change.fields["queue_deadline"] == Now(5_000)
    assert change.fields["queued_at"] == Now()
    assert change.fields["not_before"] == 0
    assert Move(SCHEDULED, None) in change.moves


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.HELD}))
def test_only_a_held_job_is_released(state: JobState) -> None:
    with pytest.raises(IllegalMoveError):
        release(a_head(state), 8)


def test_a_new_job_goes_to_the_broker_only_while_its_window_has_room() -> None:
    change = creation(SUBMISSION, None, NOW, (), 8)
    window, held = change.guards
    assert window == Window("window:exporter:local:exporter__export", 8, 4.0)
    assert isinstance(held, Window)
    assert (held.index, held.limit) == ("held:exporter:local:exporter__export", 1)
    assert change.fields["state"] is JobState.QUEUED


def test_what_is_held_for_less_urgent_calls_does_not_hold_it_back() -> None:
    _, held = creation(SUBMISSION, None, NOW, (), 8).guards
    assert isinstance(held, Window)
    assert held.at_least is not None
    assert held_score(3, NOW) < held.at_least <= held_score(4, NOW)


def test_without_room_it_is_held_and_its_clocks_go_on() -> None:
    clocked = replace(SUBMISSION, queue_ms=5_000)
    change = creation(clocked, None, NOW, (), None)
    moves = {move.index: move.score for move in change.moves}
    assert change.fields["state"] is JobState.HELD
    assert change.fields["queue_deadline"] == Now(5_000)
    assert moves["held:exporter:local:exporter__export"] == held_score(4, NOW)
    assert "window:exporter:local:exporter__export" not in moves
    head = a_head(JobState.HELD, window="local")
    assert "queue_deadline" not in release(head, 8).fields
    assert decide_due(head, NOW, Facts()) == Leave()


def test_a_batch_has_a_window_of_its_own() -> None:
    change = creation(replace(SUBMISSION, window="batch1"), None, NOW, (), 8)
    assert change.fields["window"] == "batch1"
    assert Move("window:exporter:batch1:exporter__export", 4.0) in change.moves


def test_one_whose_time_came_without_room_waits_in_line() -> None:
    held = a_head(JobState.HELD, window="local", **waits_until(LATER))
    change = line_up(held)
    assert (change.fields["not_before"], "state" in change.fields) == (0, False)
    assert Move(SCHEDULED, None) in change.moves
    assert Move("held:exporter:local:exporter__export", held_score(4, LATER)) in change.moves
