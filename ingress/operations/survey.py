"""The survey: what the store, the broker and the fleet say together, for people and for metrics."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from common.brokers.base import BrokerError
from common.catalogue import Catalogue
from common.jobs.indexes import (
    PRIORITY_STEP,
    REPLAYED,
    queue_index,
    scheduled_score,
    state_index,
    tool_state_index,
)
from common.jobs.state import JobState
from common.routing.rules import Rules
from common.runtime import Runtime
from common.store.base import JobStore
from ingress.operations.fleet import Fleet

BREAKER_STATES = ("closed", "open", "half-open")
REPLICA_STATES = ("starting", "ready", "backoff", "stopped")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueState:
    name: str
    waiting: int
    oldest_at: int | None  # ms: when the job that has waited longest was created
    ready_tokens: int | None  # None: no such queue, or no broker


def queue_names(rules: Rules, catalogue: Catalogue, fleet: Fleet) -> list[str]:
    """Every queue that the configuration, the catalogue or a live worker knows."""
    names = set(rules.queue_backends())
    names |= {queue for worker in fleet.workers for queue in worker.queues}
    names |= {
        rules.for_tool(tool.name, tool.backend, tool.backend_tool).queue
        for tool in catalogue.tools.values()
    }
    return sorted(names)


async def queue_states(runtime: Runtime, queues: Sequence[str]) -> list[QueueState]:
    """Raises: StoreUnreachableError."""
    waiting = await runtime.store.counts([queue_index(queue) for queue in queues])
    return [
        QueueState(
            name=queue,
            waiting=await _waiting(runtime.store, queue, count) if count else 0,
            oldest_at=await _oldest(runtime.store, queue) if count else None,
            ready_tokens=await _ready(runtime, queue),
        )
        for queue, count in zip(queues, waiting, strict=True)
    ]


async def _waiting(store: JobStore, queue: str, count: int) -> int:
    """Of so many, without those that are scheduled: they stand behind all that waits."""
    before = await standing_before(store, queue_index(queue), scheduled_score(0))
    return count if before is None else before


async def _oldest(store: JobStore, queue: str) -> int | None:
    """The index is sorted by priority, then age: the oldest is the first of one priority."""
    found: list[int] = []
    priority = 9
    while priority >= 0:
        band = f"{(9 - priority) * PRIORITY_STEP}:"
        page = await store.page(queue_index(queue), limit=1, cursor=band, newest_first=False)
        if not page.heads or (page.heads[0].state is JobState.HELD and page.heads[0].not_before):
            break  # what is scheduled stands behind all that waits
        found.append(page.heads[0].created_at)
        priority = page.heads[0].spec.priority - 1
    return min(found, default=None)


async def _ready(runtime: Runtime, queue: str) -> int | None:
    if runtime.broker.unreachable_since is not None:
        return None
    try:
        depth = await runtime.broker.depth(queue)
    except BrokerError:
        return None
    return None if depth is None else depth.ready


async def jobs_by_tool(store: JobStore, tools: Iterable[str]) -> list[tuple[str, JobState, int]]:
    """How many jobs each tool of the catalogue has in each state. Raises: StoreUnreachableError."""
    pairs = [(tool, state) for tool in tools for state in JobState]
    counts = await store.counts([tool_state_index(tool, state) for tool, state in pairs])
    return [(*pair, count) for pair, count in zip(pairs, counts, strict=True)]


async def standing_before(store: JobStore, index: str, score: float) -> int | None:
    """How many stand before the first that is scored so or higher; None when there is none such.

    Raises:
        StoreUnreachableError.
    """
    first = await store.places(index, limit=1, since=score, newest_first=False)
    return await store.rank(index, first[0][1]) if first else None


async def letters_waiting(store: JobStore) -> int:
    """How many dead letters nobody has replayed or dropped. Raises: StoreUnreachableError."""
    dead, lost, replayed = await store.counts(
        [state_index(JobState.DEAD), state_index(JobState.LOST), REPLAYED]
    )
    return max(0, dead + lost - replayed)
