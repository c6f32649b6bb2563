"""Which calls are identical, and which jobs they may attach to."""

from dataclasses import replace
from typing import Any

import pytest

from common.jobs.attaching import attach, attach_key, attachable, hand_off
from common.jobs.change import Free, Now
from common.jobs.endings import RetentionMs, keep
from common.jobs.head import Head
from common.jobs.state import JobState
from tests.support.heads import SPEC, a_head

KEY = "attach:x"
NOW, MINUTE = 1_000_000, 60_000
RETENTION = RetentionMs(answered=1, completed=2, failed=3, dead=4)


def let_go(state: JobState = JobState.RUNNING, **fields: Any) -> Head:
    given = {"let_go_at": NOW - 1_000, "spec": replace(SPEC, attach=KEY)} | fields
    return a_head(state, **given)


def test_identical_calls_have_one_key() -> None:
    mine = attach_key("me", "t", "v1", {"a": 1, "b": {"c": [2**70], "d": None}})
    assert mine == attach_key("me", "t", "v1", {"b": {"d": None, "c": [2**70]}, "a": 1})
    assert attach_key("me", "t", "v1", None) == attach_key("me", "t", "v1", {})


@pytest.mark.parametrize(
    "other",
    [
        ("you", "t", "v1", {"a": [1, 2]}),
        ("me", "u", "v1", {"a": [1, 2]}),
        ("me", "t", "v2", {"a": [1, 2]}),
        ("me", "t", "v1", {"a": [2, 1]}),
        ("me", "t", "v1", {"a": ["1", 2]}),
        ("me", "t", "v1", {}),
    ],
)
def test_another_caller_tool_version_or_argument_is_another_call(other: Any) -> None:
    assert attach_key(*other) != attach_key("me", "t", "v1", {"a": [1, 2]})


@pytest.mark.parametrize("state", JobState)
def test_a_job_let_go_is_attached_to_in_every_state_but_one(state: JobState) -> None:
    assert attachable(let_go(state), NOW, MINUTE) is (state is not JobState.CANCELLED)


def test_no_longer_than_for_a_while_nor_once_somebody_has_it() -> None:
    assert not attachable(let_go(), NOW, 1_000)
    assert not attachable(let_go(collected=True), NOW, MINUTE)
    assert not attachable(let_go(let_go_at=0), NOW, MINUTE)


def test_who_attaches_keeps_it_from_being_cancelled() -> None:
    change = attach(let_go(cancel_at=NOW + 1))
    assert change.fields == {"cancel_at": 0, "let_go_at": Now()}
    assert change.guards == (Free(KEY),)


def test_letting_go_takes_the_key_but_not_for_a_task() -> None:
    head = let_go(let_go_at=0)
    assert hand_off(head, "held long").takes == (KEY,)
    assert hand_off(head, "held long").fields["let_go_at"] == Now()
    task = hand_off(head, "as a task", as_task=True)
    assert (task.takes, "let_go_at" in task.fields) == ((), False)
    assert hand_off(a_head(JobState.RUNNING), "held long").takes == ()


def test_an_end_that_nobody_was_told_of_can_be_come_for() -> None:
    assert keep(let_go(JobState.COMPLETED), RETENTION).takes == (KEY,)
    assert keep(a_head(JobState.COMPLETED), RETENTION).takes == ()
