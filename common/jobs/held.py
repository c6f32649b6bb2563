"""Held: a record without a token, until its time has come. How it begins and how it is let go.

Pure functions from what is known to a `Change`, like `transitions`.
"""

from dataclasses import replace

from common.jobs.change import Change, Due, Guard, Move, Now, Value
from common.jobs.head import Head
from common.jobs.indexes import (
    SCHEDULED,
    queue_index,
    queue_score,
    scheduled_score,
    state_index,
    tool_state_index,
)
from common.jobs.state import JobState
from common.jobs.transitions import (
    FIRST_CHECK_MS,
    IllegalMoveError,
    Submission,
    moves_between,
    submit,
)

RunAt = int | Now  # a moment in ms since the epoch, or so many ms from the store's now


def schedule(
    submission: Submission, run_at: RunAt, now: int, guards: tuple[Guard, ...] = ()
) -> Change:
    """A new record in `held`, due at `run_at`; its clocks begin then.

    `now` (ms) only orders the queue, as for `submit`.
    """
    begun = submit(submission, now, guards)
    fields: dict[str, Value] = {
        **begun.fields,
        "state": JobState.HELD,
        "run_at": run_at,
        "not_before": run_at,
    }
    fields.pop("queue_deadline", None)
    if submission.deadline_ms:
        fields["deadline"] = _later(run_at, submission.deadline_ms)
    at = now + run_at.after if isinstance(run_at, Now) else run_at
    tool, queue = submission.tool, queue_index(submission.queue)
    entries = {state_index(JobState.QUEUED), tool_state_index(tool, JobState.QUEUED), queue}
    return replace(
        begun,
        name="scheduled",
        fields=fields,
        moves=(
            *(move for move in begun.moves if move.index not in entries),
            *moves_between(tool, None, JobState.HELD),
            Move(queue, scheduled_score(at)),
            Move(SCHEDULED, run_at if isinstance(run_at, Now) else float(run_at)),
        ),
        due=Due(fields=("not_before", "deadline", "cancel_at")),
    )


def release(head: Head) -> Change:
    """Its time has come: it joins the queue, whose clock begins now."""
    if head.state is not JobState.HELD:
        raise IllegalMoveError(f"{head.id} is {head.state}; only a held job is released")
    fields: dict[str, Value] = {
        "state": JobState.QUEUED,
        "not_before": 0,
        "published_at": Now(),
        "queued_at": Now(),
        "reason": "",
    }
    if head.spec.queue_ms:
        fields["queue_deadline"] = Now(head.spec.queue_ms)
    return Change(
        name="released",
        fields=fields,
        moves=(
            *moves_between(head.tool, JobState.HELD, JobState.QUEUED),
            Move(queue_index(head.queue), queue_score(head.spec.priority, head.came_at)),
            Move(SCHEDULED, None),
        ),
        due=Due(after=FIRST_CHECK_MS, fields=("queue_deadline", "deadline", "cancel_at")),
    )


def _later(run_at: RunAt, ms: int) -> RunAt:
    return Now(run_at.after + ms) if isinstance(run_at, Now) else run_at + ms
