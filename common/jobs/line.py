"""The line of a queue: what waits in it, and whose tokens wait at the broker. Moves only."""

from common.jobs.change import Move
from common.jobs.head import Head
from common.jobs.indexes import (
    SCHEDULED,
    held_index,
    held_score,
    queue_index,
    queue_score,
    window_index,
)
from common.jobs.state import JobState

WITH_TOKEN = (JobState.QUEUED, JobState.WAITING)
"""The states that count in the release window: a token waits for a slot, or for its time."""

# For a change that is made without a read.
LEAVES_LINE = (
    Move("queue:{queue}", None, of_head=True),
    Move("window:{queue}:{window}:{tool}", None, of_head=True),
)
HELD_WITH_IT = "held:{queue}:{window}:{tool}"


def join_line(queue: str, window: str, tool: str, priority: int, since: int) -> tuple[Move, ...]:
    """A token goes to the broker, and counts in the release window until its job is claimed."""
    return (
        Move(queue_index(queue), queue_score(priority, since)),
        Move(window_index(queue, window, tool), float(priority)),
    )


def stand_back(queue: str, window: str, tool: str, priority: int, since: int) -> tuple[Move, ...]:
    """No token goes to the broker: it is held until its part of the release window has room."""
    return (
        Move(queue_index(queue), queue_score(priority, since)),
        Move(held_index(queue, window, tool), held_score(priority, since)),
    )


def rejoin_line(head: Head) -> tuple[Move, ...]:
    """It goes back: room or not, it was let in before."""
    if not head.window:
        return (Move(queue_index(head.queue), queue_score(head.spec.priority, head.came_at)),)
    return join_line(head.queue, head.window, head.tool, head.spec.priority, head.came_at)


def leave_line(head: Head) -> tuple[Move, ...]:
    """What waits no more; a job that was claimed has left with that."""
    names, out_of_queue = (head.queue, head.window, head.tool), Move(queue_index(head.queue), None)
    if head.state is JobState.HELD:
        return out_of_queue, Move(SCHEDULED, None), Move(held_index(*names), None)
    if head.state in WITH_TOKEN:
        return out_of_queue, Move(window_index(*names), None)
    return ()
