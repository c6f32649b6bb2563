"""A client's view of a job as a task, in both dialects. Pure; "task" is a word of this adapter.

2026-07-28: the extension `io.modelcontextprotocol/tasks`. 2025-11-25: the core's experimental
tasks (SEP-1686). What a client has seen as terminal never changes: every view is a function of the
record and of the time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from common.errors import OUTCOME_UNKNOWN
from common.jobs.endings import RetentionMs
from common.jobs.head import Head
from common.jobs.state import JobState
from common.jobs.transitions import LEASE_MS

Status = Literal["working", "input_required", "completed", "failed", "cancelled"]

POLL_LEAST_MS = 100
POLL_MOST_MS = 15_000
POLL_DEFAULT_MS = 1_000
UNKNOWN_WORDS = "outcome unknown: its worker was lost while the tool ran, which may not run twice"
UNKNOWN = {"code": OUTCOME_UNKNOWN, "message": UNKNOWN_WORDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """What both dialects say of a task; times are milliseconds since the epoch."""

    id: str
    status: Status
    message: str
    created_at: int
    updated_at: int
    ttl_ms: int | None
    poll_ms: int
    requests: Mapping[str, Any] = field(default_factory=dict)  # open questions, for its client


def view(
    head: Head,
    *,
    now: int,
    position: int | None,
    retention: RetentionMs,
    requests: Mapping[str, Any],
    expected: int | None = None,
) -> TaskView:
    """How the job looks at `now` to a client of 2026-07-28; `expected` are the ms it should take.

    A question that is not for its client (no `requests`) is no business of the client's.
    """
    status = status_of(head, now)
    if status == "input_required" and not requests:
        status = "working"
    return TaskView(
        id=head.id,
        status=status,
        message=_message(head, status, position),
        created_at=head.created_at,
        updated_at=_updated_at(head),
        ttl_ms=ttl_ms(head, retention),
        poll_ms=poll_ms(head, now, position, expected),
        requests=requests,
    )


def status_of(head: Head, now: int) -> Status:
    """Queued, running, waiting, held: `working`. A loss is told only when its grace is over."""
    match head.state:
        case JobState.COMPLETED | JobState.FAILED if _too_late(head):
            return "failed"
        case JobState.COMPLETED:
            return "completed"
        case JobState.CANCELLED:
            return "cancelled"
        case JobState.FAILED | JobState.DEAD:
            return "failed"
        case JobState.LOST:
            return "working" if now - head.lost_at < LEASE_MS else "failed"
        case JobState.INPUT_REQUIRED:
            return "input_required"
        case _:
            return "working"


def ended(status: Status) -> bool:
    return status in {"completed", "failed", "cancelled"}


def error_of(head: Head, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The JSON-RPC error of a task that failed; `body` is what the record keeps."""
    if body is None or _is_lost(head):
        return UNKNOWN
    return body


def create_result(task: TaskView) -> dict[str, Any]:
    """`CreateTaskResult` of 2026-07-28: flat, and the TTL is said even when there is none."""
    return {"resultType": "task", **_modern(task)}


def detailed(task: TaskView, head: Head, body: Any) -> dict[str, Any]:
    """`DetailedTask`, of tasks/get and of notifications/tasks; `body` is the result or error."""
    answer = {"resultType": "complete", **_modern(task)}
    if task.status == "completed":
        answer["result"] = body
    elif task.status == "failed":
        answer["error"] = error_of(head, body)
    elif task.status == "input_required":
        answer["inputRequests"] = task.requests
    return answer


def legacy_task(task: TaskView, head: Head) -> dict[str, Any]:
    """`Task` of 2025-11-25, where a tool's own error is a failure, too."""
    failed = task.status == "completed" and head.tool_error
    return {
        "taskId": task.id,
        "status": "failed" if failed else task.status,
        "statusMessage": task.message,
        "createdAt": _stamp(task.created_at),
        "lastUpdatedAt": _stamp(task.updated_at),
        "ttl": task.ttl_ms,
        "pollInterval": task.poll_ms,
    }


def ttl_ms(head: Head, retention: RetentionMs) -> int | None:
    """Counted from creation: queue time, run time and retention; None without such limits."""
    if _is_lost(head):
        return head.lost_at + retention.dead - head.created_at
    if head.terminal:
        kept = retention.of(head.state, answered=False)
        return head.finished_at + kept - head.created_at
    shortest = min(retention.completed, retention.failed, retention.dead)
    if head.deadline:
        return head.deadline - head.created_at + shortest
    clock = head.queue_deadline
    if head.state is JobState.HELD and head.not_before and head.spec.queue_ms:
        clock = head.not_before + head.spec.queue_ms  # begins then
    waits = (head.started_at or clock) - head.created_at
    if waits < 0 or not head.spec.run_ms:
        return None
    return waits + head.spec.run_ms * head.spec.attempts + shortest


def poll_ms(head: Head, now: int, position: int | None, expected: int | None) -> int:
    """When to ask again: by its own pace, by what others like it took, or by its age."""
    age = now - head.created_at
    left = _left_ms(head, now) if head.state is JobState.RUNNING else None
    match head.state:
        case JobState.RUNNING if left is not None:
            wanted = left // 3
        case JobState.RUNNING | JobState.QUEUED if expected is not None:
            wanted = max(expected - age, age // 2)  # the later than others, the rarer
        case JobState.RUNNING:
            wanted = (now - head.started_at) // 2
        case JobState.WAITING | JobState.HELD if head.not_before:
            wanted = head.not_before - now
        case JobState.QUEUED | JobState.HELD:
            wanted = POLL_DEFAULT_MS * (1 + (position or 0))
        case _:
            wanted = POLL_DEFAULT_MS
    return max(POLL_LEAST_MS, min(POLL_MOST_MS, wanted))


def _left_ms(head: Head, now: int) -> int | None:
    """By the pace of its progress so far; None when that says nothing."""
    value, total, _ = progress_of(head)
    if value is None or total is None or not 0 < value < total:
        return None
    return round((now - head.started_at) * (total - value) / value)


def progress_of(head: Head) -> tuple[float | None, float | None, str | None]:
    if not head.progress:
        return None, None, None
    value, total, message = orjson.loads(head.progress)
    return value, total, message


def _message(head: Head, status: Status, position: int | None) -> str:
    if _is_lost(head) and status == "failed":
        return UNKNOWN_WORDS
    if status != "working":
        return head.reason or str(head.state)
    match head.state:
        case JobState.HELD if head.not_before:
            return f"scheduled for {_stamp(head.not_before)}"
        case JobState.QUEUED | JobState.HELD if position:
            return f"queued, {position} job{'' if position == 1 else 's'} before it"
        case JobState.RUNNING:
            value, total, message = progress_of(head)
            pace = (
                "" if value is None else f", {value:g}{'' if total is None else f' of {total:g}'}"
            )
            words = f": {message}" if message else ""
            return f"running, try {head.tries}{pace}{words}"
        case JobState.WAITING:
            return f"try {head.tries + 1} of {head.spec.attempts} follows; {head.reason}"
        case JobState.LOST:
            return "its worker is silent"
        case JobState.INPUT_REQUIRED:
            return "it waits for an operator"
        case _:
            return str(head.state)


def _too_late(head: Head) -> bool:
    """A finish later than one lease after the loss is kept for operators; clients saw a failure."""
    return bool(head.lost_at) and head.finished_at - head.lost_at >= LEASE_MS


def _is_lost(head: Head) -> bool:
    """For its client, for ever: a later finish changes nothing of what was shown."""
    return head.state is JobState.LOST or _too_late(head)


def _updated_at(head: Head) -> int:
    if _is_lost(head):
        return head.lost_at
    return max(
        head.created_at, head.started_at, head.progress_at, head.finished_at, head.published_at
    )


def _modern(task: TaskView) -> dict[str, Any]:
    return {
        "taskId": task.id,
        "status": task.status,
        "statusMessage": task.message,
        "createdAt": _stamp(task.created_at),
        "lastUpdatedAt": _stamp(task.updated_at),
        "ttlMs": task.ttl_ms,
        "pollIntervalMs": task.poll_ms,
    }


def _stamp(ms: int) -> str:
    return (
        datetime.fromtimestamp(ms / 1000, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
