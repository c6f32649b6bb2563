"""The `Broker` port: where tokens wait, and how a worker pulls them.

Contract, held by `tests/contract/test_broker.py` on every implementation:

* A token that `publish` returned for is delivered at least once, to one consumer at a time, while
  the broker's data exists. A publish that raised may have been delivered all the same.
* Higher priority (0-9) first; within one priority, the order of publication.
* A consumer never holds more unacknowledged deliveries than its slots.
* A delivery that was not acked is delivered again, marked `redelivered`, when its consumer ends:
  its context was left, its connection was lost, or its process is gone.
* Delivering the same token twice is normal. The record decides.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from common.jobs.token import Token

LANES_MS = (1_000, 2_000, 5_000, 15_000, 30_000, 60_000, 300_000, 900_000, 3_600_000)


def lane_for(delay: float) -> int:
    """The largest lane, in ms, that is not longer than `delay` seconds; at least the first.

    Too early is harmless (the record knows the time, the token is parked again), too late is not.
    """
    return max((ms for ms in LANES_MS if ms <= delay * 1000), default=LANES_MS[0])


class BrokerError(Exception):
    """The broker refused or did not answer in time; the operation may have happened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    ready: int  # tokens waiting, without those in a worker's hands
    consumers: int


class Delivery(Protocol):
    """A token in a worker's hands."""

    @property
    def queue(self) -> str: ...
    @property
    def raw(self) -> bytes:
        """The body as it came; `common.jobs.token.decode_token` reads it."""
        ...

    @property
    def published_at(self) -> float:
        """Seconds since the epoch, from the publisher's clock."""
        ...

    @property
    def priority(self) -> int: ...
    @property
    def redelivered(self) -> bool: ...
    async def ack(self) -> None:
        """Release the token; a stale delivery (its connection is gone) is released already.

        Never raises: an ack that is lost means a redelivery, and the record decides. No broker
        confirms an ack, and a quorum queue forgets those behind the 32 it is about to apply when
        the consumer ends right after them.
        """
        ...


class Consumer(Protocol):
    """The deliveries of one queue; goes on by itself after a lost broker."""

    def __aiter__(self) -> AsyncIterator[Delivery]: ...
    async def __anext__(self) -> Delivery: ...
    async def stop(self) -> None:
        """Take no more: what was not handed out goes back, and the iteration ends.

        Deliveries already handed out stay this consumer's until its context is left, so that a
        drain can let them finish and ack them. Never raises.
        """
        ...


class Broker(Protocol):
    async def declare(self, queue: str) -> None:
        """Make the queue exist. Idempotent. `publish` and `consume` do it by themselves.

        Raises:
            BrokerError: Not reachable, or the queue was refused.
        """
        ...

    async def publish(self, queue: str, token: Token, priority: int) -> None:
        """Hand the token over; returns once the broker has confirmed it.

        Raises:
            BrokerError: Not confirmed, so perhaps taken: publish the same generation again.
        """
        ...

    async def park(self, queue: str, token: Token, priority: int, delay: float) -> None:
        """Publish to the largest lane that is not longer than `delay` seconds (at least the first).

        Raises:
            BrokerError: As `publish`.
        """
        ...

    def consume(self, queue: str, slots: int) -> AbstractAsyncContextManager[Consumer]:
        """Deliveries of one queue, at most `slots` unacknowledged.

        The iterator survives a lost broker: it reconnects with backoff and goes on; what was handed
        out before may then come again, `redelivered`. Leaving the context gives back what was not
        acked: `stop` first, and leave when the running jobs are settled.
        """
        ...

    async def depth(self, queue: str) -> Depth | None:
        """What waits in the queue now; None when it does not exist.

        Raises:
            BrokerError: Not reachable.
        """
        ...

    async def drain(self, limit: int, handle: Callable[[str, bytes], Awaitable[None]]) -> int:
        """Take up to `limit` messages out of the dead and unrouted queues; how many it were.

        `handle(queue, body)` keeps the message; only when it returns is the message gone from the
        broker. When it raises, the message stays and the exception passes through.

        Raises:
            BrokerError: Not reachable.
        """
        ...

    @property
    def unreachable_since(self) -> float | None:
        """Seconds since the epoch when publishing stopped to work; None while it does."""
        ...

    async def aclose(self) -> None: ...
