"""Jobs that their backend runs as a task of its own: the record names it before it is followed.

From then on a worker may die, and whoever claims the job next follows the same task. Nothing is run
twice by that, so it holds for tools that may not be repeated as well.
"""

from common.jobs.change import Change, Due
from common.jobs.head import Head
from common.jobs.state import JobState
from common.jobs.transitions import LEASE_MS, IllegalMoveError


def entrust(head: Head, task: str) -> Change:
    """The running try goes on as this task of its backend."""
    if head.state is not JobState.RUNNING:
        raise IllegalMoveError(f"{head.id} is {head.state}; its tool does not run")
    return Change(
        name="entrusted",
        fields={"backend_task": task, "deaths": 0},
        due=Due(after=LEASE_MS, fields=("deadline", "cancel_at")),
    )
