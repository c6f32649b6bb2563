"""A batch: one record for many calls of one tool, its transitions, and what to do next. Pure.

Its rows are a document and a cursor. A row becomes a job only when there is room for it; from then
on it counts among the batch's sums (`common.jobs.rows`). A batch runs until its rows have ended.
"""

from dataclasses import asdict, dataclass, fields

import orjson

from common.errors import ROW_REFUSED
from common.jobs import callbacks
from common.jobs.change import (
    WATCH_END,
    BatchRuns,
    Change,
    Due,
    Guard,
    Move,
    Next,
    Now,
    Room,
    TimeBefore,
    Unique,
    Value,
)
from common.jobs.endings import RESULT, RetentionMs
from common.jobs.head import RECORD_FORMAT, Head, Spec, encode_spec
from common.jobs.indexes import (
    ALL_BATCHES,
    batches_index,
    callback_index,
    ended_index,
    errors_index,
    rows_index,
)
from common.jobs.rows import LONGEST_REASON, OPEN, REFUSED, error_score, without_line
from common.jobs.state import JobState
from common.jobs.transitions import CALL, IllegalMoveError

DRIVE_MS = 5_000  # a batch with something to do is looked at so often, whatever hints were lost
AT_ONCE = 128  # rows that are made together
_STEPS = 8  # of a window: rows are made by so large a part of it, and travel together


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was asked for, frozen; beside the head."""

    rows: int
    in_flight: int  # at most so many rows are open at once
    priority: int | None = None  # None: the tool's
    blob: str = ""  # where the rows are; empty: beside the head
    digest: str = ""  # of the rows as they were read: SHA-256
    request_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """The next row, and where in the document it begins (bytes)."""

    row: int = 1
    offset: int = 0

    @classmethod
    def of(cls, head: Head) -> "Cursor":
        row, _, offset = head.cursor.partition(":")
        return cls(row=int(row), offset=int(offset))


def encode_plan(plan: Plan) -> bytes:
    return orjson.dumps(asdict(plan))


def decode_plan(raw: bytes) -> Plan:
    """What a newer Longhaul adds is left out."""
    known = {each.name for each in fields(Plan)}
    return Plan(**{name: value for name, value in orjson.loads(raw).items() if name in known})


# --- transitions


def begin(batch: str, tool: str, caller: str, plan: Plan, key: str, callback: str = "") -> Change:
    """A new record; `key` is unique among the caller's, empty without one."""
    spec = Spec(backend="", backend_tool="", tool_version="", priority=0, callback=callback)
    guards: tuple[Guard, ...] = (Unique(key),) if key else ()
    return Change(
        name="submitted",
        fields={
            "state": JobState.RUNNING,
            "tool": tool,
            "queue": "",
            "caller": caller,
            "spec": encode_spec(spec),
            "created_at": Now(),
            "format": RECORD_FORMAT,
            "handed_off": 1,
            "batch": batch,
            "cursor": "1:0",
            **({"watchers": callbacks.CALLBACKS + WATCH_END} if callback else {}),
        },
        guards=guards,
        moves=(Move(ALL_BATCHES, Now()), Move(batches_index(caller), Now())),
        due=Due(after=DRIVE_MS),
        parts={CALL: encode_plan(plan)},
        returning=("head",),
    )


def advance(head: Head, cursor: Cursor) -> Change:
    """All rows before the cursor are records now."""
    return _goes_on(head, "advanced", {"cursor": f"{cursor.row}:{cursor.offset}"})


def close_rerun(head: Head) -> Change:
    """All rows that a retry asked for run again."""
    return _goes_on(head, "rerun", {"rerun_before": 0, "rerun_lost_before": 0})


def finish(head: Head, retention: RetentionMs) -> Change:
    """Every row has ended; the commit checks it."""
    return _end(head, JobState.COMPLETED, "all rows have ended", retention, only_without_rows=True)


def cancel_batch(head: Head, reason: str, retention: RetentionMs) -> Change:
    """No row begins any more; those that are open are cancelled one by one."""
    return _end(head, JobState.CANCELLED, reason, retention, only_without_rows=False)


def settle_down(head: Head) -> Change:
    """No row of a batch that has ended is open any more: what follows is its removal."""
    if not head.terminal:
        raise IllegalMoveError(f"batch {head.id} is {head.state}")
    return Change(name="settled", fields={}, due=Due(fields=("callback_at", "forget_at")))


def retry(head: Head, *, lost: bool) -> Change:
    """Rows that went wrong until now run again, as room comes; those before count no more.

    Not once its retention is over: its rows may be gone already.
    """
    if head.state is JobState.CANCELLED:
        raise IllegalMoveError(f"batch {head.id} is cancelled")
    fields: dict[str, Value] = {
        "state": JobState.RUNNING,
        "finished_at": 0,
        "forget_at": 0,
        "reason": "",
        "rerun_before": Now(1),
    }
    if lost:
        fields["rerun_lost_before"] = Now(1)
    moves: tuple[Move, ...] = ()
    if head.callback:  # its next end is told of anew
        fields |= {"callback": "", "callback_at": 0}
        moves = (Move(callback_index(head.callback), None),)
    due = Due(after=DRIVE_MS)
    return Change(
        name="retried",
        fields=fields,
        guards=(TimeBefore("forget_at"),),
        moves=moves,
        due=due,
        facts={"lost": lost},
    )


def refuse(batch: Head, row: int, reason: str, kept_ms: int) -> Change:
    """A row that cannot be a call: a record that ends where it begins, and is nobody's job."""
    said = reason[:LONGEST_REASON]
    spec = Spec(backend="", backend_tool="", tool_version="", priority=0)
    return Change(
        name="refused",
        fields={
            "state": JobState.FAILED,
            "tool": batch.tool,
            "queue": "",
            "caller": batch.caller,
            "spec": encode_spec(spec),
            "created_at": Now(),
            "finished_at": Now(),
            "format": RECORD_FORMAT,
            "handed_off": 1,
            "reason": said,
            "batch": batch.id,
            "share": REFUSED,
        },
        guards=(BatchRuns(batch.id),),
        moves=(
            Move(rows_index(batch.id, REFUSED), Now()),
            Move(ended_index(batch.id), Next()),
            Move(errors_index(batch.id), error_score(without_line(said), row)),
        ),
        due=Due(after=kept_ms),
        parts={RESULT: orjson.dumps({"code": ROW_REFUSED, "message": reason})},
    )


def _goes_on(head: Head, name: str, fields: dict[str, Value]) -> Change:
    if head.state is not JobState.RUNNING:
        raise IllegalMoveError(f"batch {head.id} is {head.state}")
    return Change(name=name, fields=fields, due=Due(after=DRIVE_MS))


def _end(
    head: Head, state: JobState, reason: str, retention: RetentionMs, *, only_without_rows: bool
) -> Change:
    if head.state is not JobState.RUNNING:
        raise IllegalMoveError(f"batch {head.id} is {head.state}")
    kept = retention.of(state, answered=False)
    ending = Change(
        name=str(state),
        fields={
            "state": state,
            "finished_at": Now(),
            "forget_at": Now(kept),
            "reason": reason,
            "rerun_before": 0,
            "rerun_lost_before": 0,
        },
        guards=(Room(rows_index(head.id, OPEN), 1),) if only_without_rows else (),
        due=Due(after=kept if only_without_rows else DRIVE_MS),
        facts={"reason": reason},
    )
    return callbacks.owing(head, ending, state, kept) if head.spec.callback else ending


# --- what to do next


@dataclass(frozen=True, slots=True)
class Create:
    """So many of the next rows become jobs."""

    count: int


@dataclass(frozen=True, slots=True)
class RunAgain:
    """So many of the rows that a retry asked for."""

    count: int


@dataclass(frozen=True, slots=True)
class Finish:
    """All rows have ended."""


@dataclass(frozen=True, slots=True)
class CancelRows:
    """Of a batch that was cancelled."""


@dataclass(frozen=True, slots=True)
class SettleDown:
    """Nothing is left to do until its retention is over."""


@dataclass(frozen=True, slots=True)
class Wait:
    """For rows to end."""


Step = Create | RunAgain | Finish | CancelRows | SettleDown | Wait


def next_step(head: Head, plan: Plan, open_rows: int) -> Step:
    """The one thing to do about a batch. Two who decide the same do no harm."""
    if head.state is not JobState.RUNNING:
        return CancelRows() if open_rows else SettleDown()
    room = plan.in_flight - open_rows
    rows_left = plan.rows - Cursor.of(head).row + 1
    worth_it = room >= max(1, plan.in_flight // _STEPS)
    if head.rerun_before:
        return RunAgain(min(room, AT_ONCE)) if worth_it else Wait()
    if rows_left > 0:
        return Create(min(room, rows_left, AT_ONCE)) if worth_it else Wait()
    return Wait() if open_rows else Finish()
