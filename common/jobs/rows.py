"""Rows: the jobs of a batch. As what each one counts is written with its own commits.

A row stands in exactly one index of its batch's shares, and moves in the commit that ends it, which
is carried out once however often it is sent: so the sums are right, whatever dies in between. Pure.
"""

from dataclasses import replace
from hashlib import sha256

from common.jobs.change import (
    BATCHES,
    WATCH_END,
    Add,
    BatchRuns,
    Change,
    Due,
    Move,
    Next,
    Now,
    Room,
    Value,
)
from common.jobs.head import Head
from common.jobs.held import NO_ROOM, room
from common.jobs.ids import row_of
from common.jobs.indexes import REPLAYED, ended_index, errors_index, rows_index
from common.jobs.line import rejoin_line, stand_back
from common.jobs.state import JobState
from common.jobs.transitions import CHECK_MS, FIRST_CHECK_MS, IllegalMoveError, moves_between
from common.wire import load_json

OPEN = "open"
REFUSED = "refused"
TOOL_ERROR = "tool_error"
ENDED = ("completed", TOOL_ERROR, "failed", "cancelled", "lost", "dead", REFUSED)
SHARES = (OPEN, *ENDED)
FAILED_SHARES = (TOOL_ERROR, "failed", "dead")  # run again by a retry; `lost` only when asked
WRONG = frozenset({*FAILED_SHARES, "lost", REFUSED})

MOST_ROWS = 1_000_000
_ROW_BITS = 20  # of a score in the errors index, for its number; 32 above them are of the error
LONGEST_REASON = 500


def entering(submission: Change, batch: str) -> Change:
    """The creation of a row's job, counted as open; only while the batch runs."""
    fields: dict[str, Value] = {"batch": batch, "share": OPEN, "watchers": f"{BATCHES}{WATCH_END}"}
    return replace(
        submission,
        fields={**submission.fields, **fields},
        guards=(BatchRuns(batch), *submission.guards),
        moves=(*submission.moves, Move(rows_index(batch, OPEN), Now())),
    )


def counted(head: Head, ending: Change, state: JobState, reason: str) -> Change:
    """The end of a row's job: in the same commit it counts as that, and as nothing else."""
    share = _share(state, tool_error=bool(ending.fields.get("tool_error")))
    batch = head.batch
    moves = [
        Move(rows_index(batch, head.share), None),
        Move(rows_index(batch, share), Now()),
        Move(ended_index(batch), Next()),
    ]
    if share in WRONG:
        moves.append(Move(errors_index(batch), error_score(reason, row_of(head.id))))
    elif head.share in WRONG:
        moves.append(Move(errors_index(batch), None))
    return replace(
        ending,
        fields={**ending.fields, "share": share},
        moves=(*ending.moves, *moves),
    )


def is_asked_for(head: Head, batch: Head) -> bool:
    """Whether the newest retry of its batch is of this row: it went wrong before that."""
    if head.share == "lost":
        return head.finished_at < batch.rerun_lost_before
    return head.share in FAILED_SHARES and head.finished_at < batch.rerun_before


def run_again(head: Head, *, in_flight: int, limit: int | None) -> Change:
    """A row that went wrong is queued once more; the claims before it settle nothing any more.

    Only while fewer than `in_flight` of its batch are open. Its token goes to the broker while
    fewer than `limit` wait there; without a limit the row is held until there is room. It keeps its
    place among the ended ones until it ends again, at a later place.
    """
    if head.share not in {*FAILED_SHARES, "lost"}:
        raise IllegalMoveError(f"{head.id} is {head.state}; only a failed row runs again")
    names, priority = (head.queue, head.window, head.tool), head.spec.priority
    held = limit is None
    state = JobState.HELD if held else JobState.QUEUED
    fields: dict[str, Value] = {
        "state": state,
        "generation": Add(1),
        "share": OPEN,
        "tries": 0,
        "checks": 0,
        "hand_backs": 0,
        "published_at": Now(),
        "reason": NO_ROOM if held else "run again",
    }
    fields |= dict.fromkeys(_CLEARED, 0)
    fields |= dict.fromkeys(("owner", "backend_task", "result_blob", "replayed_as"), "")
    if head.spec.queue_ms:
        fields["queue_deadline"] = Now(head.spec.queue_ms)
    return Change(
        name="run_again",
        fields=fields,
        guards=(
            BatchRuns(head.batch),
            Room(rows_index(head.batch, OPEN), in_flight),
            *(() if limit is None else room(*names, priority, limit)),
        ),
        moves=(
            *moves_between(head.tool, head.state, state),
            *(stand_back(*names, priority, head.came_at) if held else rejoin_line(head)),
            Move(REPLAYED, None),
            Move(rows_index(head.batch, head.share), None),
            Move(rows_index(head.batch, OPEN), Now()),
            Move(errors_index(head.batch), None),
        ),
        due=Due(after=CHECK_MS if held else FIRST_CHECK_MS, fields=("queue_deadline",)),
        facts={"was": head.share},
        returning=("head",),
    )


_CLEARED = (
    "finished_at",
    "lost_at",
    "not_before",
    "queue_left",
    "queued_at",
    "deadline",
    "cancel_at",
    "answer_by",
    "tool_error",
    "files",
    "deaths",
    "still_running",
)


def _share(state: JobState, *, tool_error: bool) -> str:
    return TOOL_ERROR if state is JobState.COMPLETED and tool_error else str(state)


def without_line(reason: str) -> str:
    """Why a row was refused, without the line that it is named by."""
    return reason.partition(": ")[2] or reason


def error_score(reason: str, row: int) -> float:
    """Rows with the same words stand together, by their number."""
    digest = int.from_bytes(sha256(reason.encode()).digest()[:4])
    return float((digest << _ROW_BITS) + row)


def next_error(score: float) -> float:
    """Where the rows of the next error begin, at the earliest."""
    return float(((int(score) >> _ROW_BITS) + 1) << _ROW_BITS)


def stay(head: Head, batch_ms: int) -> Change:
    """Its own retention is over, but not that of its batch: looked at again later."""
    if not head.batch or not head.terminal:
        raise IllegalMoveError(f"{head.id} is {head.state}; it is no row that has ended")
    return Change(name="stayed", fields={}, due=Due(after=batch_ms))


def tool_error_reason(result: bytes) -> str:
    """What the tool said with its error: rows that say the same are counted together."""
    content = load_json(result).get("content")
    for each in content if isinstance(content, list) else ():
        if isinstance(each, dict) and each.get("type") == "text" and each.get("text"):
            return str(each["text"])[:LONGEST_REASON]
    return "the tool reported an error"
