"""The `StandingOrders` port: what operators ordered, for every worker alike.

Contract, held by `tests/contract/test_store_standing.py` on every implementation: an order is
durable when `give` answers, holds until it is lifted, and each change is told on the channel `NEWS`
as `ORDERS_CHANGED`. A worker that starts later finds them.

Every method raises `StoreUnreachableError` when the store does not answer in time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

OrderKind = Literal["disabled", "restart", "paused"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """`id` names it: a worker carries out a restart once, and only one given after its start."""

    id: str
    by: str  # the caller who gave it
    at: int  # ms
    at_once: bool = False  # a restart that waits for no call


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOrders:
    disabled: Order | None = None  # it gets no calls
    restart: Order | None = None  # the newest
    paused: Order | None = None  # of the queue of this name: nothing of it is started


class StandingOrders(Protocol):
    async def give(self, backend: str, kind: OrderKind, order: Order) -> None:
        """In the place of an earlier one of the kind."""
        ...

    async def lift(self, backend: str, kind: OrderKind) -> bool:
        """False when there was none."""
        ...

    async def all(self) -> Mapping[str, BackendOrders]:
        """Those of every backend that has any."""
        ...
