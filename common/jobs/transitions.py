"""The transitions of a job that goes on, one named constructor each; `endings` has the others.

Nobody else sets a state.

Pure functions from what is known to a `Change`. Times are milliseconds. Where a function takes a
`Head`, its change may be committed only at that head's version; `claim` alone needs no read.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common.jobs.change import (
    Add,
    Change,
    Due,
    Guard,
    LeaseAlive,
    LeaseGone,
    Move,
    Now,
    OneOf,
    TimeBefore,
    TimeReached,
    Value,
)
from common.jobs.checkpoint import CHECKPOINT, stored
from common.jobs.head import RECORD_FORMAT, Head, Spec, StoredCall, encode_call, encode_spec
from common.jobs.indexes import (
    ALL,
    caller_index,
    owner_index,
    state_index,
    tool_state_index,
)
from common.jobs.line import HELD_WITH_IT, LEAVES_LINE, join_line, rejoin_line
from common.jobs.questions import QUESTIONS
from common.jobs.state import MOVES, JobState
from common.values import value_type

LEASE_MS = 10_000
FIRST_CHECK_MS = 5_000
CHECK_MS = 15_000
LAST_REPUBLISH_MS = 600_000
CALL = "call"

_NOW = Now()
_DEADLINES = ("queue_deadline", "deadline", "cancel_at", "answer_by")


class IllegalMoveError(Exception):
    """A transition was asked of a job whose state does not allow it."""


@value_type(frozen=True, slots=True, kw_only=True)
class Submission:
    """A call, ready to become a record."""

    tool: str
    queue: str
    caller: str
    spec: Spec
    window: str = ""  # whose part of the release window it takes; empty: the caller's
    call: StoredCall
    queue_ms: int = 0  # clocks; 0: none
    deadline_ms: int = 0
    holder: str = ""  # lease of the ingress that holds the call; empty: the id is given out
    watcher: str = ""
    checkpoint: bytes | None = None  # it begins where another job was


def moves_between(tool: str, before: JobState | None, after: JobState) -> tuple[Move, ...]:
    leave = (
        ()
        if before is None
        else (Move(state_index(before), None), Move(tool_state_index(tool, before), None))
    )
    enter = Move(state_index(after), _NOW), Move(tool_state_index(tool, after), _NOW)
    return (*leave, *enter)


def submit(submission: Submission, now: int, guards: tuple[Guard, ...] = ()) -> Change:
    """A new record in `queued`. `now` only orders the queue; the store's clock dates the record."""
    each = submission
    fields: dict[str, Value] = {
        "state": JobState.QUEUED,
        "tool": each.tool,
        "queue": each.queue,
        "caller": each.caller,
        "window": each.window or each.caller,
        "spec": encode_spec(each.spec),
        "created_at": _NOW,
        "generation": 1,
        "format": RECORD_FORMAT,
    }
    if each.queue_ms:
        fields["queue_deadline"] = Now(each.queue_ms)
    if each.deadline_ms:
        fields["deadline"] = Now(each.deadline_ms)
    moves = [
        Move(ALL, _NOW),
        Move(caller_index(each.caller), _NOW),
        *join_line(each.queue, each.window or each.caller, each.tool, each.spec.priority, now),
        *moves_between(each.tool, None, JobState.QUEUED),
    ]
    fields["holder" if each.holder else "handed_off"] = each.holder or 1
    if each.watcher:
        fields["watchers"] = each.watcher
    begins = {} if each.checkpoint is None else {CHECKPOINT: each.checkpoint}
    fields |= stored(each.checkpoint)
    letter = each.spec.replay_of
    return Change(
        name="submitted",
        fields=fields,
        guards=guards,
        moves=tuple(moves),
        due=Due(after=FIRST_CHECK_MS, fields=_DEADLINES),
        facts={"replay_of": letter} if letter else {},
        parts={CALL: encode_call(each.call), **begins},
    )


def claim(worker: str) -> Change:
    """A worker's right to run the job now; goes without a read when the token's version is current.

    The guards are the job's own: only while it waits, not before its time, not after its clocks.
    """
    return Change(
        name="claimed",
        fields={
            "state": JobState.RUNNING,
            "owner": worker,
            "claims": Add(1),
            "tries": Add(1),
            "started_at": Now(),
            "not_before": 0,
            "queue_deadline": 0,
            "progress_at": Now(),
            "reason": "",
        },
        guards=(
            LeaseAlive(worker),
            OneOf("state", (JobState.QUEUED, JobState.WAITING)),
            TimeReached("not_before"),
            TimeBefore("queue_deadline"),
            TimeBefore("deadline"),
        ),
        moves=(
            Move("state:{state}", None, of_head=True),
            Move("tool:{tool}:{state}", None, of_head=True),
            *LEAVES_LINE,
            Move(state_index(JobState.RUNNING), Now()),
            Move("tool:{tool}:running", Now(), of_head=True),
            Move(owner_index(worker), Now()),
        ),
        due=Due(after=LEASE_MS, fields=("deadline", "cancel_at")),
        facts={"worker": worker},
        counting=HELD_WITH_IT,
        returning=("head", CALL, QUESTIONS, CHECKPOINT),
    )


def retry(head: Head, delay_ms: int, error: Mapping[str, Any], remark: str = "") -> Change:
    """Another try after a delay; the token of the next generation goes to a lane."""
    allow(head, JobState.WAITING)
    return Change(
        name="retried",
        fields={
            "state": JobState.WAITING,
            "generation": Add(1),
            "not_before": Now(delay_ms),
            "published_at": Now(),
            "owner": "",
            "backend_task": "",
            "hand_backs": 0,
            "reason": f"try {head.tries} failed: {error['message']}{remark}",
        },
        moves=(
            *moves_between(head.tool, head.state, JobState.WAITING),
            Move(owner_index(head.owner), None),
            *rejoin_line(head),
        ),
        due=Due(after=delay_ms + FIRST_CHECK_MS, fields=("deadline", "cancel_at")),
        facts={"delay_ms": delay_ms, "error": error, "try": head.tries},
    )


def hand_back(head: Head, reason: str, delay_ms: int) -> Change:
    """It provably never reached the tool: uncounted, back to the queue, whose clock goes on."""
    back = _requeue(head, "handed_back", reason, counted=False, delay_ms=delay_ms)
    fields: dict[str, Value] = {"hand_backs": Add(1)}
    if head.spec.queue_ms and head.claims - head.hand_backs == 1:
        # No other claim before: it has waited for its first start all the time.
        waited = head.started_at - (head.queued_at or head.created_at)
        left = max(1, (head.queue_left or head.spec.queue_ms) - waited)
        fields |= {"queue_left": left, "queued_at": Now(), "queue_deadline": Now(left)}
    due = replace(back.due, fields=_DEADLINES[:-1])
    return replace(back, fields={**back.fields, **fields}, due=due)


def rescue(head: Head) -> Change:
    """Its owner is gone (the commit checks): next try, or the same one where the backend has it."""
    goes_on = bool(head.backend_task)
    back = _requeue(
        head,
        "rescued",
        f"its worker died; {'its backend goes on with it' if goes_on else 'it starts again'}",
        counted=not goes_on,
        guards=(LeaseGone(head.owner),),
    )
    return replace(back, fields={**back.fields, "deaths": Add(1)}) if goes_on else back


def park(head: Head, delay_ms: int, reason: str) -> Change:
    """Not now: the token of the next generation comes back after a delay."""
    if head.state is not JobState.QUEUED:
        raise IllegalMoveError(f"{head.id} is {head.state}; only a queued job is parked")
    return Change(
        name="parked",
        fields={
            "generation": Add(1),
            "not_before": Now(delay_ms),
            "published_at": Now(),
            "reason": reason,
        },
        due=Due(after=delay_ms + FIRST_CHECK_MS, fields=_DEADLINES),
        facts={"delay_ms": delay_ms},
    )


def check(head: Head) -> Change:
    """The reconciler publishes the job's token again and leaves it where it is."""
    fields: dict[str, Value] = {"checks": Add(1), "published_at": Now()}
    return Change(name="checked", fields=fields, due=due_of(head))


def check_ms(head: Head) -> int:
    """Milliseconds until the reconciler looks at a job that stays where it is."""
    if head.owner or head.still_running:
        return LEASE_MS
    if head.state in {JobState.QUEUED, JobState.WAITING} and head.confirmed < head.generation:
        return FIRST_CHECK_MS  # seconds after the broker is back, however long it was away
    doubled: int = CHECK_MS << max(0, min(head.checks - 4, 6))
    return min(doubled, LAST_REPUBLISH_MS)


def due_of(head: Head) -> Due:
    """The next look at a job that stays where it is."""
    if head.state is JobState.HELD and head.not_before:
        return Due(fields=("not_before", *_DEADLINES[1:]))
    queued = head.state in {JobState.QUEUED, JobState.HELD}
    return Due(after=check_ms(head), fields=_DEADLINES if queued else _DEADLINES[1:])


def next_look(head: Head) -> Due:
    """For what its client does: the look at a job whose worker died is not put off by it."""
    return replace(due_of(head), no_later=True)


def _requeue(
    head: Head,
    name: str,
    reason: str,
    *,
    counted: bool,
    delay_ms: int = 0,
    guards: tuple[Guard, ...] = (),
) -> Change:
    allow(head, JobState.QUEUED)
    if not head.owner:
        raise IllegalMoveError(f"{head.id} is {head.state}; nobody has it who could lose it")
    fields: dict[str, Value] = {
        "state": JobState.QUEUED,
        "generation": Add(1),
        "owner": "",
        "not_before": Now(delay_ms) if delay_ms else 0,
        "answer_by": 0,
        "published_at": Now(),
        "reason": reason,
    }
    if not counted:
        fields["tries"] = Add(-1)
    return Change(
        name=name,
        fields=fields,
        guards=guards,
        moves=(
            *moves_between(head.tool, head.state, JobState.QUEUED),
            Move(owner_index(head.owner), None),
            *rejoin_line(head),
        ),
        due=Due(after=delay_ms + FIRST_CHECK_MS, fields=("deadline", "cancel_at")),
        facts={"reason": reason},
    )


def allow(head: Head, state: JobState) -> None:
    if state not in MOVES[head.state]:
        raise IllegalMoveError(f"{head.id} is {head.state}; it cannot become {state}")
