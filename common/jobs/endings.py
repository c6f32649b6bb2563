"""The transitions that end a job, one named constructor each. Nobody else sets a state.

Pure functions from what is known to a `Change`, to be committed only at the head's version.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from common.errors import BACKEND_GONE, CANCELLED, OUTCOME_UNKNOWN
from common.jobs import callbacks, rows
from common.jobs.change import Change, Due, Guard, LeaseGone, Move, Now, Value
from common.jobs.files import FILES, File, encode_files
from common.jobs.head import Head, Spec, encode_spec
from common.jobs.indexes import ALL, REPLAYED, owner_index
from common.jobs.line import HELD_WITH_IT, WITH_TOKEN, leave_line
from common.jobs.state import LETTERS, JobState
from common.jobs.transitions import LEASE_MS, IllegalMoveError, allow, moves_between, rescue
from common.values import value_type
from common.wire import dump_json

RESULT = "result"
RAW = "raw"
MOST_DEATHS = 10  # of workers that follow one task: what it answers with may be what kills them


@value_type(frozen=True, slots=True, kw_only=True)
class RetentionMs:
    answered: int
    completed: int
    failed: int
    dead: int

    def of(self, state: JobState, *, answered: bool) -> int:
        if state in LETTERS:  # whoever heard of it: it needs a person
            return self.dead
        if answered:
            return self.answered
        if state is JobState.FAILED:
            return self.failed
        return self.completed


def complete(
    head: Head,
    result: bytes,
    retention: RetentionMs,
    *,
    tool_error: bool,
    blob: str = "",
    files: tuple[File, ...] = (),
) -> Change:
    """The tool answered, well or with an error of its own; `result` is a preview with a `blob`."""
    allow(head, JobState.COMPLETED)
    ending = _end(
        head,
        JobState.COMPLETED,
        retention,
        reason=_reason(head, result, tool_error=tool_error),
        result=result,
        fields={"tool_error": int(tool_error), **({"result_blob": blob} if blob else {})},
    )
    if not files:
        return ending
    return replace(
        ending,
        fields={**ending.fields, "files": len(files)},
        parts={**ending.parts, FILES: encode_files(files)},
    )


def fail(head: Head, error: Mapping[str, Any], retention: RetentionMs) -> Change:
    """A protocol error or a clock ended it; `error` is a JSON-RPC error object."""
    allow(head, JobState.FAILED)
    return _end(
        head,
        JobState.FAILED,
        retention,
        reason=str(error["message"]),
        result=dump_json(error),
    )


def bury(
    head: Head, error: Mapping[str, Any], retention: RetentionMs, *, seen_gone: bool = False
) -> Change:
    """Tries used up, or poison: a dead letter."""
    allow(head, JobState.DEAD)
    return _end(
        head,
        JobState.DEAD,
        retention,
        reason=str(error["message"]),
        result=dump_json(error),
        guards=(LeaseGone(head.owner),) if seen_gone else (),
    )


def lose(head: Head, why: str, retention: RetentionMs, *, seen_gone: bool) -> Change:
    """It may have run, and may not run twice: `lost`, until a person or its own late finish.

    With `seen_gone` the loss rests on the owner's lease, and the commit checks it.
    """
    allow(head, JobState.LOST)
    message = f"outcome unknown: {why}"
    return _end(
        head,
        JobState.LOST,
        retention,
        reason=message,
        result=orjson.dumps({"code": OUTCOME_UNKNOWN, "message": message}),
        fields={"lost_at": Now()},
        guards=(LeaseGone(head.owner),) if seen_gone else (),
    )


def cancel(head: Head, reason: str, retention: RetentionMs) -> Change:
    """Cancelled at once for everybody who looks; a running tool is told and keeps its claim."""
    allow(head, JobState.CANCELLED)
    running = head.state in {JobState.RUNNING, JobState.INPUT_REQUIRED} and bool(head.owner)
    # A row that runs again has the result of its earlier end beside it.
    ended_before = bool(head.batch) and head.generation > 1
    return _end(
        head,
        JobState.CANCELLED,
        retention,
        reason=reason,
        result=dump_json({"code": CANCELLED, "message": reason}) if ended_before else None,
        fields={"still_running": 1} if running else {},
        keeps_claim=running,
    )


def let_go(head: Head, retention: RetentionMs, *, seen_gone: bool = False) -> Change:
    """The tool of a cancelled job has ended: slot, claim and lease entry are free.

    With `seen_gone` that rests on the owner's lease, and the commit checks it.
    """
    if not head.still_running:
        raise IllegalMoveError(f"{head.id} is {head.state}; nothing of it runs")
    fields, due = callbacks.rest(head, retention.of(head.state, answered=False))
    return Change(
        name="let_go",
        fields={"still_running": 0, "owner": "", **fields},
        guards=(LeaseGone(head.owner),) if seen_gone else (),
        moves=(Move(owner_index(head.owner), None),),
        due=due,
    )


def keep(head: Head, retention: RetentionMs) -> Change:
    """Held when it ended, and nobody noted that its answer went out: kept like any other."""
    if not head.terminal:
        raise IllegalMoveError(f"{head.id} is {head.state}; it has not ended")
    key = head.spec.attach
    fields, due = callbacks.rest(head, retention.of(head.state, answered=False))
    if key:
        fields["let_go_at"] = Now()
    return Change(
        name="kept",
        fields={"handed_off": 1, "holder": "", **fields},
        takes=(key,) if key else (),
        due=due,
    )


def _end(
    head: Head,
    state: JobState,
    retention: RetentionMs,
    *,
    reason: str,
    result: bytes | None,
    fields: Mapping[str, Value] | None = None,
    guards: tuple[Guard, ...] = (),
    keeps_claim: bool = False,
) -> Change:
    ended: dict[str, Value] = {
        "state": state,
        "finished_at": Now(),
        "reason": reason[:500],
        "cancel_at": 0,
        **(fields or {}),
    }
    if head.answer_by:
        ended["answer_by"] = 0
    if not keeps_claim:
        ended["owner"] = ""
    held = bool(head.holder) and not head.handed_off
    kept = retention.of(state, answered=held)
    ending = Change(
        name=state.value,
        fields=ended,
        guards=guards,
        moves=_moves_at_end(head, state, keeps_claim=keeps_claim),
        due=Due(after=LEASE_MS if keeps_claim else kept),
        facts={"reason": reason[:500], "try": head.tries},
        parts={} if result is None else {RESULT: result},
        wake_owner=keeps_claim,
        counting=HELD_WITH_IT if head.state in WITH_TOKEN else "",
    )
    if head.batch:
        ending = rows.counted(head, ending, state, reason[:500])
    return callbacks.owing(head, ending, state, kept) if head.spec.callback else ending


def _reason(head: Head, result: bytes, *, tool_error: bool) -> str:
    if not tool_error:
        return "done"
    return rows.tool_error_reason(result) if head.batch else "the tool reported an error"


def _moves_at_end(head: Head, state: JobState, *, keeps_claim: bool) -> tuple[Move, ...]:
    moves = [*moves_between(head.tool, head.state, state), *leave_line(head)]
    if head.replayed_as:  # a letter no longer: it was lost, and has finished after all
        moves.append(Move(REPLAYED, None))
    if head.owner and not keeps_claim:
        moves.append(Move(owner_index(head.owner), None))
    return tuple(moves)


def owner_died(head: Head, retention: RetentionMs) -> Change:
    """What becomes of a running job whose owner's lease is gone; the commit checks that it is."""
    if head.backend_task and head.deaths < MOST_DEATHS:
        return rescue(head)  # not run again: whoever claims it next follows that task
    why = "its worker died while the tool ran"
    if not head.spec.repeatable:
        return lose(head, why, retention, seen_gone=True)
    if head.backend_task or head.tries >= head.spec.attempts:
        times = head.deaths + 1 if head.backend_task else head.tries
        error = {"code": BACKEND_GONE, "message": f"{why}, {times} times"}
        return bury(head, error, retention, seen_gone=True)
    return rescue(head)


def bury_token(queue: str, raw: bytes, why: str, retention: RetentionMs) -> Change:
    """A token without a job: a record of its own, born dead, with the raw bytes."""
    spec = Spec(backend="", backend_tool="", tool_version="", priority=0)
    return Change(
        name="buried",
        fields={
            "state": JobState.DEAD,
            "tool": "",
            "queue": queue,
            "caller": "",
            "spec": encode_spec(spec),
            "created_at": Now(),
            "finished_at": Now(),
            "handed_off": 1,
            "reason": why[:500],
        },
        moves=(Move(ALL, Now()), *moves_between("", None, JobState.DEAD)),
        due=Due(after=retention.dead),
        parts={
            RAW: raw,
            RESULT: orjson.dumps({"code": BACKEND_GONE, "message": why}),
        },
    )
