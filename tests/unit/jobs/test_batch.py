"""What a batch needs next, decided from its record and how many of its rows are open."""

from typing import Any

import pytest

from common.jobs.batch import (
    AT_ONCE,
    CancelRows,
    Create,
    Cursor,
    Finish,
    Plan,
    RunAgain,
    SettleDown,
    Step,
    Wait,
    decode_plan,
    encode_plan,
    next_step,
)
from common.jobs.decisions import Drive, Facts, Remove, decide_due
from common.jobs.head import Head
from common.jobs.rows import error_score, next_error
from common.jobs.state import JobState
from tests.support.heads import a_head


def a_batch(state: JobState = JobState.RUNNING, **fields: Any) -> Head:
    given = {"id": "b", "batch": "b", "cursor": "1:0", "owner": "", **fields}
    return a_head(state, **given)


@pytest.mark.parametrize(
    ("cursor", "open_rows", "step"),
    [
        ("1:0", 0, Create(16)),
        ("9:80", 8, Create(8)),
        ("15:80", 14, Create(2)),
        ("16:80", 15, Wait()),  # one more is not worth it yet
        ("99:80", 0, Create(2)),  # the last ones
        ("101:80", 3, Wait()),
        ("101:80", 0, Finish()),
    ],
)
def test_rows_begin_as_room_comes(cursor: str, open_rows: int, step: Step) -> None:
    assert next_step(a_batch(cursor=cursor), Plan(rows=100, in_flight=16), open_rows) == step


def test_of_a_large_window_some_are_made_at_once() -> None:
    assert next_step(a_batch(), Plan(rows=9_000, in_flight=4_000), 0) == Create(AT_ONCE)


def test_a_window_of_one_goes_on_row_by_row() -> None:
    plan = Plan(rows=3, in_flight=1)
    assert next_step(a_batch(cursor="2:9"), plan, 1) == Wait()
    assert next_step(a_batch(cursor="2:9"), plan, 0) == Create(1)


def test_what_is_to_run_again_comes_first() -> None:
    plan = Plan(rows=100, in_flight=16)
    assert next_step(a_batch(rerun_before=5), plan, 4) == RunAgain(12)
    assert next_step(a_batch(rerun_before=5), plan, 15) == Wait()


@pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.COMPLETED])
def test_one_that_has_ended_begins_nothing(state: JobState) -> None:
    plan = Plan(rows=100, in_flight=16)
    assert next_step(a_batch(state), plan, 3) == CancelRows()
    assert next_step(a_batch(state), plan, 0) == SettleDown()


def test_when_it_is_due_somebody_drives_it_until_its_retention_is_over() -> None:
    assert decide_due(a_batch(), 1_000, Facts()) == Drive()
    over = a_batch(JobState.COMPLETED, forget_at=2_000)
    assert decide_due(over, 1_999, Facts()) == Drive()
    assert decide_due(over, 2_000, Facts()) == Remove()


def test_a_plan_of_a_newer_release_is_read_as_far_as_it_can_be() -> None:
    plan = Plan(rows=3, in_flight=2, priority=7, blob="x:1", digest="d")
    raw = encode_plan(plan)
    assert decode_plan(raw[:-1] + b',"weather":"fine"}') == plan
    assert Cursor.of(a_batch(cursor="7:123")) == Cursor(row=7, offset=123)


def test_the_same_error_stands_together_by_row_up_to_the_last_row_there_may_be() -> None:
    first, last = error_score("no", 1), error_score("no", 1_000_000)
    assert first < last < next_error(first) == next_error(last)
    assert not first <= error_score("yes", 1) < next_error(first)
    assert last == int(last) < 2**53
