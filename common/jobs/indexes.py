"""The indexes over records, named here and nowhere else. Scores are milliseconds."""

from common.jobs.head import Head
from common.jobs.state import JobState

DUE = "due"
ALL = "all"  # by creation
ALL_BATCHES = "batches"  # by creation
HELD = "held"  # the names of those `held_index` that have members; not jobs
SCHEDULED = "scheduled"  # held until a time, by that time
REPLAYED = "replayed"  # dead letters that an operator has replayed, by the time of that
PRIORITY_STEP = 10_000_000_000_000  # larger than any time in ms: priority first, then age

HELD_INDEXES = f"{HELD}:"


def state_index(state: JobState | str) -> str:
    return f"state:{state}"


def tool_state_index(tool: str, state: JobState | str) -> str:
    """Cardinality is the gauge "jobs by state and tool"."""
    return f"tool:{tool}:{state}"


def queue_index(queue: str) -> str:
    """Jobs that wait in a queue, in the order they will start: priority, then age."""
    return f"queue:{queue}"


def owner_index(lease: str) -> str:
    """Jobs whose claim a worker holds."""
    return f"owner:{lease}"


def caller_index(caller: str) -> str:
    return f"caller:{caller}"


def callback_index(state: str) -> str:
    """Jobs by how the message to their callback stands, by the time they came to that."""
    return f"callback:{state}"


def batches_index(caller: str) -> str:
    """A caller's batches, by creation."""
    return f"batches:{caller}"


def rows_index(batch: str, share: str) -> str:
    """Rows of a batch that count as this, by the time they came to that.

    Each row stands in one of them: their cardinalities are the batch's sums.
    """
    return f"rows:{batch}:{share}"


def ended_index(batch: str) -> str:
    """Rows of a batch that have ended, numbered in that order."""
    return f"ended:{batch}"


def errors_index(batch: str) -> str:
    """Rows of a batch that went wrong, by what went wrong and then by their number."""
    return f"errors:{batch}"


def queue_score(priority: int, created_at: int) -> float:
    return float((9 - priority) * PRIORITY_STEP + created_at)


def window_index(queue: str, window: str, tool: str) -> str:
    """Jobs of one tool and one part of the release window whose tokens wait, by priority."""
    return f"window:{queue}:{window}:{tool}"


def held_index(queue: str, window: str, tool: str) -> str:
    """Those of the same that are held for want of room; the highest goes first."""
    return f"{HELD}:{queue}:{window}:{tool}"


def is_held_index(name: str) -> bool:
    return name.startswith(HELD_INDEXES)


def held_score(priority: int, created_at: int) -> float:
    return -queue_score(priority, created_at)


def scheduled_score(run_at: int) -> float:
    """Behind everything that waits now, by its time."""
    return float(10 * PRIORITY_STEP + run_at)


def memberships(head: Head) -> tuple[str, ...]:
    """Every index besides the due index that may hold the job."""
    if head.is_batch:
        return (ALL_BATCHES, batches_index(head.caller), *_told(head))
    return (
        ALL,
        caller_index(head.caller),
        state_index(head.state),
        tool_state_index(head.tool, head.state),
        queue_index(head.queue),
        owner_index(head.owner),
        window_index(head.queue, head.window, head.tool),
        held_index(head.queue, head.window, head.tool),
        SCHEDULED,
        REPLAYED,
        *_told(head),
        *(_of_row(head) if head.batch else ()),
    )


def _told(head: Head) -> tuple[str, ...]:
    return (callback_index(head.callback),) if head.callback else ()


def _of_row(head: Head) -> tuple[str, ...]:
    batch = head.batch
    return rows_index(batch, head.share), ended_index(batch), errors_index(batch)
