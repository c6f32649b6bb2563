"""Held: a record without a token, until its time or its turn. How it begins and is let go.

Pure functions from what is known to a `Change`, like `transitions`.
"""

from dataclasses import replace

from common.jobs.change import Change, Due, Guard, Move, Now, Value, Window
from common.jobs.head import Head
from common.jobs.indexes import (
    PRIORITY_STEP,
    SCHEDULED,
    held_index,
    queue_index,
    scheduled_score,
    state_index,
    tool_state_index,
    window_index,
)
from common.jobs.line import rejoin_line, stand_back
from common.jobs.state import JobState
from common.jobs.transitions import (
    CHECK_MS,
    FIRST_CHECK_MS,
    IllegalMoveError,
    Submission,
    moves_between,
    submit,
)

RunAt = int | Now  # a moment in ms since the epoch, or so many ms from the store's now
NO_ROOM = "as many calls of its caller to this tool wait for a worker as may; it follows them"

_DEADLINES = ("queue_deadline", "deadline", "cancel_at")


def creation(
    submission: Submission,
    run_at: RunAt | None,
    now: int,
    guards: tuple[Guard, ...],
    limit: int | None,
) -> Change:
    """A new record: for later, for now while so many tokens do not wait, or held until then."""
    if run_at is not None:
        return schedule(submission, run_at, now, guards)
    if limit is None:
        return hold_back(submission, now, guards)
    names = submission.queue, submission.window or submission.caller, submission.tool
    return submit(submission, now, (*guards, *room(*names, submission.spec.priority, limit)))


def room(queue: str, window: str, tool: str, priority: int, limit: int) -> tuple[Guard, ...]:
    """That a job's first token may go to the broker, before none that is held for want of room.

    Tokens of lower priority do not count against it.
    """
    names = queue, window, tool
    as_urgent = -float((10 - priority) * PRIORITY_STEP)
    return (
        Window(window_index(*names), limit, float(priority)),
        Window(held_index(*names), 1, as_urgent),
    )


def hold_back(submission: Submission, now: int, guards: tuple[Guard, ...] = ()) -> Change:
    """A new record in `held`, until its window has room for it; its clocks begin now."""
    each = submission
    names = each.queue, each.window or each.caller, each.tool
    return _begun_held(
        each,
        submit(each, now, guards),
        {"reason": NO_ROOM},
        stand_back(*names, each.spec.priority, now),
        Due(after=CHECK_MS, fields=_DEADLINES),
    )


def schedule(
    submission: Submission, run_at: RunAt, now: int, guards: tuple[Guard, ...] = ()
) -> Change:
    """A new record in `held`, due at `run_at`; its clocks begin then.

    `now` (ms) only orders the queue, as for `submit`.
    """
    fields: dict[str, Value] = {"run_at": run_at, "not_before": run_at}
    if submission.deadline_ms:
        fields["deadline"] = _later(run_at, submission.deadline_ms)
    at = now + run_at.after if isinstance(run_at, Now) else run_at
    return _begun_held(
        submission,
        replace(submit(replace(submission, queue_ms=0), now, guards), name="scheduled"),
        fields,
        (
            Move(queue_index(submission.queue), scheduled_score(at)),
            Move(SCHEDULED, run_at if isinstance(run_at, Now) else float(run_at)),
        ),
        Due(fields=("not_before", "deadline", "cancel_at")),
    )


def release(head: Head, limit: int) -> Change:
    """Its time or its turn has come, and its window has room (the commit checks that).

    The queue clock of a scheduled job begins now.
    """
    _check_held(head)
    names = head.queue, head.window, head.tool
    priority = head.spec.priority
    fields: dict[str, Value] = {
        "state": JobState.QUEUED,
        "published_at": Now(),
        "checks": 0,  # those were of a job without a token
        "reason": "",
        **_begin_clock(head),
    }
    return Change(
        name="released",
        fields=fields,
        guards=(Window(window_index(*names), limit, float(priority)),),
        moves=(
            *moves_between(head.tool, JobState.HELD, JobState.QUEUED),
            *rejoin_line(head),
            Move(SCHEDULED, None),
            Move(held_index(*names), None),
        ),
        due=Due(after=FIRST_CHECK_MS, fields=_DEADLINES),
    )


def line_up(head: Head) -> Change:
    """Its time has come, its window has no room: it waits for that, and its queue clock begins."""
    _check_held(head)
    names, priority = (head.queue, head.window, head.tool), head.spec.priority
    return Change(
        name="lined_up",
        fields={"reason": NO_ROOM, **_begin_clock(head)},
        moves=(
            Move(SCHEDULED, None),
            *stand_back(*names, priority, head.came_at),
        ),
        due=Due(after=CHECK_MS, fields=_DEADLINES),
    )


def _begun_held(
    submission: Submission,
    begun: Change,
    fields: dict[str, Value],
    moves: tuple[Move, ...],
    due: Due,
) -> Change:
    """A submission without a token: where one would count, `moves` say where it stands."""
    tool, queue = submission.tool, submission.queue
    elsewhere = {
        state_index(JobState.QUEUED),
        tool_state_index(tool, JobState.QUEUED),
        queue_index(queue),
        window_index(queue, submission.window or submission.caller, tool),
    }
    kept = (move for move in begun.moves if move.index not in elsewhere)
    return replace(
        begun,
        fields={**begun.fields, "state": JobState.HELD, **fields},
        moves=(*kept, *moves_between(tool, None, JobState.HELD), *moves),
        due=due,
    )


def _begin_clock(head: Head) -> dict[str, Value]:
    if not head.not_before:
        return {}  # it has waited in line all the time
    clock: dict[str, Value] = {"not_before": 0, "queued_at": Now()}
    if head.spec.queue_ms:
        clock["queue_deadline"] = Now(head.spec.queue_ms)
    return clock


def _check_held(head: Head) -> None:
    if head.state is not JobState.HELD:
        raise IllegalMoveError(f"{head.id} is {head.state}; only a held job is released")


def _later(run_at: RunAt, ms: int) -> RunAt:
    return Now(run_at.after + ms) if isinstance(run_at, Now) else run_at + ms
