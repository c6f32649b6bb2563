"""Every transition against the table of moves, and what each one promises by itself."""

from collections.abc import Callable
from contextlib import suppress

import pytest

from common.jobs.attaching import attach, come_back, hand_off, send_back
from common.jobs.change import Add, Change, LeaseGone, Now
from common.jobs.endings import (
    RESULT,
    RetentionMs,
    bury,
    cancel,
    complete,
    fail,
    keep,
    let_go,
    lose,
    owner_died,
)
from common.jobs.entrusting import entrust
from common.jobs.head import Head, Spec
from common.jobs.state import MOVES, TERMINAL, JobState
from common.jobs.transitions import (
    CHECK_MS,
    FIRST_CHECK_MS,
    LAST_REPUBLISH_MS,
    LEASE_MS,
    IllegalMoveError,
    check_ms,
    claim,
    hand_back,
    park,
    rescue,
    retry,
)
from tests.support.heads import a_head

RETENTION = RetentionMs(answered=1, completed=2, failed=3, dead=4)
ERROR = {"code": -1, "message": "no"}

# Each transition that needs the head, and the state it leads to (None: the state it is in).
TRANSITIONS: dict[str, tuple[Callable[[Head], Change], JobState | None]] = {
    "retry": (lambda head: retry(head, 1_000, ERROR), JobState.WAITING),
    "hand_back": (lambda head: hand_back(head, "why", 0), JobState.QUEUED),
    "rescue": (rescue, JobState.QUEUED),
    "park": (lambda head: park(head, 1_000, "busy"), None),
    "hand_off": (lambda head: hand_off(head, "held long"), None),
    "attach": (attach, None),
    "send_back": (lambda head: send_back(head, 1_000), None),
    "come_back": (lambda head: come_back(head, RETENTION), None),
    "complete": (
        lambda head: complete(head, b"{}", RETENTION, tool_error=False),
        JobState.COMPLETED,
    ),
    "fail": (lambda head: fail(head, ERROR, RETENTION), JobState.FAILED),
    "bury": (lambda head: bury(head, ERROR, RETENTION), JobState.DEAD),
    "lose": (lambda head: lose(head, "why", RETENTION, seen_gone=False), JobState.LOST),
    "cancel": (lambda head: cancel(head, "why", RETENTION), JobState.CANCELLED),
    "let_go": (lambda head: let_go(head, RETENTION), None),
    "keep": (lambda head: keep(head, RETENTION), None),
}
CLAIMED_FROM = (JobState.QUEUED, JobState.WAITING)
CLAIMED = (JobState.RUNNING, JobState.INPUT_REQUIRED)
GOES_BACK = (JobState.QUEUED, JobState.WAITING)  # only from a claim
HELD = {(JobState.HELD, JobState.QUEUED)}  # see test_held.py
ASKING = {  # see test_asking.py
    (JobState.RUNNING, JobState.INPUT_REQUIRED),
    (JobState.INPUT_REQUIRED, JobState.RUNNING),
}


@pytest.mark.parametrize("name", TRANSITIONS)
@pytest.mark.parametrize("state", JobState)
def test_a_transition_moves_as_the_table_says_or_raises(name: str, state: JobState) -> None:
    make, leads_to = TRANSITIONS[name]
    if leads_to is None:
        return
    if leads_to not in MOVES[state] or (leads_to in GOES_BACK and state not in CLAIMED):
        with pytest.raises(IllegalMoveError):
            make(a_head(state))
    else:
        assert make(a_head(state)).fields["state"] == leads_to


@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("park", {JobState.QUEUED}),
        ("hand_off", set(JobState) - TERMINAL),
        ("attach", set(JobState) - TERMINAL),
        ("send_back", set(JobState) - TERMINAL),
        ("come_back", set(JobState)),
        ("keep", TERMINAL),
    ],
)
def test_what_moves_no_state_is_for_its_own_states_only(name: str, states: set[JobState]) -> None:
    make, _ = TRANSITIONS[name]
    for state in JobState:
        if state in states:
            assert "state" not in make(a_head(state)).fields
        else:
            with pytest.raises(IllegalMoveError):
                make(a_head(state))


def test_only_what_still_runs_lets_go() -> None:
    change = let_go(a_head(JobState.CANCELLED, still_running=True, owner="w1"), RETENTION)
    assert change.fields == {"still_running": 0, "owner": ""}
    for state in JobState:
        with pytest.raises(IllegalMoveError):
            let_go(a_head(state), RETENTION)


def test_every_move_of_the_table_has_its_transition() -> None:
    made = {(state, JobState.RUNNING) for state in CLAIMED_FROM}
    # A claim goes without a read; what it may move is what a token can stand for.
    assert claim("w1").fields["state"] == JobState.RUNNING
    for make, leads_to in TRANSITIONS.values():
        for state in JobState:
            with suppress(IllegalMoveError):
                change = make(a_head(state))
                if leads_to is not None:
                    made.add((state, leads_to))
                    assert change.fields["state"] == leads_to
    made.add((JobState.QUEUED, JobState.QUEUED))  # parked
    table = {(before, after) for before, afters in MOVES.items() for after in afters}
    assert table - made - ASKING == HELD
    assert made <= table


def test_nothing_moves_a_terminal_job_but_its_own_late_finish() -> None:
    for state in TERMINAL - {JobState.LOST}:
        assert not MOVES[state]
    assert MOVES[JobState.LOST] == {JobState.COMPLETED, JobState.FAILED}


# --- tries, claims and generations


def test_a_claim_grows_the_fence_and_counts_a_try() -> None:
    fields = claim("w1").fields
    assert (fields["claims"], fields["tries"], fields["owner"]) == (Add(1), Add(1), "w1")


def test_what_never_reached_the_tool_counts_no_try() -> None:
    head = a_head(JobState.RUNNING)
    assert hand_back(head, "drained", 0).fields["tries"] == Add(-1)
    for change in (rescue(head), retry(head, 5, ERROR)):
        assert "tries" not in change.fields


@pytest.mark.parametrize("name", ["retry", "hand_back", "rescue"])
def test_what_goes_back_has_a_new_generation_and_no_owner(name: str) -> None:
    change = TRANSITIONS[name][0](a_head(JobState.RUNNING))
    assert (change.fields["generation"], change.fields["owner"]) == (Add(1), "")


def test_a_delay_is_checked_only_when_it_is_over() -> None:
    for change in (
        retry(a_head(JobState.RUNNING), 60_000, ERROR),
        park(a_head(), 60_000, "busy"),
        hand_back(a_head(JobState.RUNNING), "why", 60_000),
    ):
        assert change.fields["not_before"] == Now(60_000)
        assert change.due.after == 60_000 + FIRST_CHECK_MS
        assert "deadline" in change.due.fields


# --- endings


@pytest.mark.parametrize(
    ("name", "kept"), [("complete", 2), ("cancel", 2), ("fail", 3), ("bury", 4), ("lose", 4)]
)
def test_retention_goes_by_the_end(name: str, kept: int) -> None:
    make, _ = TRANSITIONS[name]
    state = JobState.QUEUED if name == "cancel" else JobState.RUNNING
    assert make(a_head(state)).due.after == kept


def test_a_call_answered_on_its_own_response_is_kept_for_the_shortest_time() -> None:
    held = a_head(JobState.RUNNING, holder="i1", handed_off=False)
    assert complete(held, b"{}", RETENTION, tool_error=False).due.after == 1
    given_out = a_head(JobState.RUNNING, holder="i1", handed_off=True)
    assert complete(given_out, b"{}", RETENTION, tool_error=False).due.after == 2


def test_a_cancelled_run_keeps_its_claim_until_the_tool_lets_go() -> None:
    change = cancel(a_head(JobState.RUNNING), "enough", RETENTION)
    assert change.fields["still_running"] == 1
    assert "owner" not in change.fields
    assert (change.wake_owner, change.due.after) == (True, LEASE_MS)
    assert not any(move.index.startswith("owner:") for move in change.moves)


def test_a_job_that_waits_is_cancelled_with_nobody_to_tell() -> None:
    change = cancel(a_head(JobState.QUEUED), "enough", RETENTION)
    assert "still_running" not in change.fields
    assert not change.wake_owner


def test_a_long_reason_is_cut() -> None:
    change = fail(a_head(), {"code": 1, "message": "x" * 5_000}, RETENTION)
    assert change.fields["reason"] == "x" * 500
    assert len(change.parts[RESULT]) > 5_000


# --- the owner died


def test_a_tool_that_may_not_run_twice_is_lost_with_its_worker() -> None:
    head = a_head(JobState.RUNNING)
    change = owner_died(head, RETENTION)
    assert (change.fields["state"], change.guards) == (JobState.LOST, (LeaseGone("w1"),))


@pytest.mark.parametrize(
    ("tries", "state"), [(1, JobState.QUEUED), (2, JobState.QUEUED), (3, JobState.DEAD)]
)
def test_a_tool_that_may_runs_again_up_to_its_limit(tries: int, state: JobState) -> None:
    spec = Spec(
        backend="b",
        backend_tool="t",
        tool_version="v",
        priority=4,
        attempts=3,
        repeatable=True,
    )
    change = owner_died(a_head(JobState.RUNNING, tries=tries, spec=spec), RETENTION)
    assert (change.fields["state"], change.guards) == (state, (LeaseGone("w1"),))


@pytest.mark.parametrize("state", [JobState.RUNNING, JobState.INPUT_REQUIRED])
def test_what_its_backend_goes_on_with_is_neither_lost_nor_tried_again(state: JobState) -> None:
    head = a_head(state, backend_task="its name", tries=3)
    change = owner_died(head, RETENTION)
    assert (change.name, change.guards) == ("rescued", (LeaseGone("w1"),))
    assert (change.fields["state"], change.fields["tries"]) == (JobState.QUEUED, Add(-1))
    assert "backend_task" not in change.fields


def test_only_a_running_job_is_entrusted_to_its_backend() -> None:
    fields = entrust(a_head(JobState.RUNNING), "its name").fields
    assert fields == {"backend_task": "its name", "deaths": 0}
    for state in set(JobState) - {JobState.RUNNING}:
        with pytest.raises(IllegalMoveError):
            entrust(a_head(state), "its name")


# --- when the reconciler looks


def test_checks_become_rarer_up_to_the_last_interval() -> None:
    intervals = [check_ms(a_head(confirmed=1, checks=checks)) for checks in range(40)]
    assert intervals[0] == CHECK_MS
    assert intervals == sorted(intervals)
    assert intervals[-1] == LAST_REPUBLISH_MS


def test_what_the_broker_never_took_is_tried_as_often_after_a_long_outage() -> None:
    for state in (JobState.QUEUED, JobState.WAITING):
        for checks in (0, 4, 30):
            assert check_ms(a_head(state, generation=2, confirmed=1, checks=checks)) == 5_000


def test_a_running_job_is_looked_at_every_lease() -> None:
    assert check_ms(a_head(JobState.RUNNING, checks=30)) == LEASE_MS
    assert check_ms(a_head(JobState.CANCELLED, still_running=True)) == LEASE_MS
