"""The `Broker` port: where tokens wait, and how a worker pulls them.

Contract, held by `tests/contract/test_broker.py` on every implementation:

* A token that `publish` returned for is delivered at least once, to one consumer at a time, while
  the broker's data exists. A publish that raised may have been delivered all the same.
* Higher priority (0-9) first; within one priority, the order of publication.
* A consumer never holds more unacknowledged deliveries than its slots.
* A delivery that was not acked is delivered again, marked `redelivered`, when its consumer ends.
* Delivering the same token twice is normal. The record decides.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from common.jobs.token import Token

PRIORITIES = range(10)
LANES_MS = (1_000, 2_000, 5_000, 15_000, 30_000, 60_000, 300_000, 900_000, 3_600_000)


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

        Never raises: an ack that is lost means a redelivery, and the record decides.
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
            BrokerError: Not confirmed: unknown whether it was taken. Publish the same generation again.
        """
        ...

    async def park(self, queue: str, token: Token, priority: int, delay: float) -> None:
        """Publish to the largest lane that is not longer than `delay` seconds (at least the first).

        Raises:
            BrokerError: As `publish`.
        """
        ...

    def consume(
        self, queue: str, slots: int
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery]]:
        """Deliveries of one queue, at most `slots` unacknowledged.

        The iterator survives a lost broker: it reconnects with backoff and goes on. Leaving the
        context stops deliveries; those already handed out may still be acked until `aclose`.
        """
        ...

    async def depth(self, queue: str) -> Depth | None:
        """What waits in the queue now; None when it does not exist.

        Raises:
            BrokerError: Not reachable.
        """
        ...

    async def drain(self, limit: int) -> list[tuple[str, bytes]]:
        """Take up to `limit` messages out of the dead and unrouted queues, as (queue, body).

        Raises:
            BrokerError: Not reachable.
        """
        ...

    @property
    def unreachable_since(self) -> float | None:
        """Seconds since the epoch when the publishing connection was lost; None while it is up."""
        ...

    async def aclose(self) -> None: ...
