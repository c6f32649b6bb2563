"""How queues stand while the reconciler looks at what is due, and whether they take tokens."""

from collections.abc import Sequence
from dataclasses import replace

from common.brokers.base import BrokerError
from common.jobs.decisions import Facts, Passing
from common.jobs.head import Head
from common.jobs.token import Token
from common.publishing import publish_token
from common.runtime import Runtime
from common.store.base import Lease


class QueueLooks:
    """How each queue stands, asked once a sweep."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        # A blocked broker costs each try seconds: one a sweep, or dead workers' jobs would wait.
        self._deaf: set[str] = set()
        self._mute = False  # so does each question that it does not answer
        self.left: list[Head] = []  # to be looked at again; written for all of a sweep together
        self._ready: dict[str, int] = {}
        self._passings: dict[str, tuple[Passing, ...]] | None = None

    def is_deaf(self, queue: str) -> bool:
        """Whether no token of it was taken in this sweep; none is of any, with the broker gone."""
        gone = bool(self._deaf) and self._runtime.broker.unreachable_since is not None
        return gone or queue in self._deaf

    async def publish(self, head: Head, token: Token) -> bool:
        """Not confirmed, it is published when the job is due again."""
        taken = not self.is_deaf(head.queue) and await publish_token(self._runtime, head, token)
        if not taken:
            self._deaf.add(head.queue)
        return taken

    async def look(self, queue: str, facts: Facts) -> Facts:
        if self._passings is None:
            self._passings = passings_of(await self._runtime.store.leases())
        passings = self._passings.get(queue, ())
        return replace(facts, queue_ready=await self._ready_in(queue), passings=passings)

    async def _ready_in(self, queue: str) -> int:
        """Tokens waiting; -1 when there is no such queue. An unreachable broker counts as busy."""
        if queue not in self._ready and not self._mute:
            try:
                depth = await self._runtime.broker.depth(queue)
                self._ready[queue] = -1 if depth is None else depth.ready
            except BrokerError:
                self._mute = True
        return self._ready.get(queue, 1)


def passings_of(leases: Sequence[Lease]) -> dict[str, tuple[Passing, ...]]:
    """Queue by queue, what workers claimed last, as they say it with their beats."""
    found: dict[str, list[Passing]] = {}
    for lease in leases:
        for queue, said in (lease.info.get("queues") or {}).items():
            for priority, published_at, claimed_at in said.get("passings") or ():
                passing = Passing(
                    priority=priority, published_at=published_at, claimed_at=claimed_at
                )
                found.setdefault(queue, []).append(passing)
    return {queue: tuple(passings) for queue, passings in found.items()}
