"""The states of a job, who moves a job out of each, and the table of legal moves."""

from enum import StrEnum


class JobState(StrEnum):
    HELD = "held"
    """No token yet. The reconciler releases it when its time or its caller's turn has come."""
    QUEUED = "queued"
    """A token waits at the broker, or is about to. The worker that claims it moves it on."""
    RUNNING = "running"
    """A worker holds the claim. That worker settles it; when its lease is gone, the reconciler."""
    WAITING = "waiting"
    """Between two tries. The worker that gets the token after the delay moves it on."""
    INPUT_REQUIRED = "input_required"
    """The tool asked a question. The answer moves it on, or the question's deadline."""
    COMPLETED = "completed"
    """A tool result exists, also one that reports a tool error. Retention removes it."""
    FAILED = "failed"
    """A protocol error or a clock ended it. Retention removes it."""
    CANCELLED = "cancelled"
    """Somebody asked for that. Retention removes it, after the tool has let go."""
    LOST = "lost"
    """Its worker died in mid-call and the tool may not run twice: a person decides."""
    DEAD = "dead"
    """Tries used up, or poison: a person replays or drops it."""


TERMINAL = frozenset(
    {JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.LOST, JobState.DEAD}
)

LETTERS = frozenset({JobState.DEAD, JobState.LOST})
"""Dead letters: they wait for a person."""

MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.HELD: frozenset({JobState.QUEUED, JobState.CANCELLED, JobState.FAILED}),
    JobState.QUEUED: frozenset(
        {JobState.QUEUED, JobState.RUNNING, JobState.CANCELLED, JobState.FAILED}
    ),
    JobState.RUNNING: frozenset(
        {
            JobState.COMPLETED,
            JobState.FAILED,
            JobState.CANCELLED,
            JobState.WAITING,
            JobState.QUEUED,
            JobState.INPUT_REQUIRED,
            JobState.LOST,
            JobState.DEAD,
        }
    ),
    JobState.WAITING: frozenset(
        {JobState.RUNNING, JobState.CANCELLED, JobState.FAILED, JobState.DEAD}
    ),
    JobState.INPUT_REQUIRED: frozenset(
        {
            JobState.RUNNING,
            JobState.QUEUED,
            JobState.COMPLETED,
            JobState.FAILED,
            JobState.CANCELLED,
            JobState.LOST,
            JobState.DEAD,
        }
    ),
    JobState.LOST: frozenset({JobState.COMPLETED, JobState.FAILED}),
    JobState.COMPLETED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELLED: frozenset(),
    JobState.DEAD: frozenset(),
}
