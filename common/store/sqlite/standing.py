"""`SqliteStandingOrders`: one row for each order."""

import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

from common.store.order_rows import decode_orders, encode_order, place_of
from common.store.sqlite.worker import Work
from common.store.standing import BackendOrders, Order, OrderKind

T = TypeVar("T")


class Carry(Protocol):
    """To one of the store's threads."""

    def __call__(self, work: Work[T]) -> Awaitable[T]: ...


class SqliteStandingOrders:
    def __init__(self, write: Carry, read: Carry, changed: Callable[[], None]) -> None:
        self._write = write
        self._read = read
        self._changed = changed

    async def give(self, backend: str, kind: OrderKind, order: Order) -> None:
        row = (place_of(backend, kind), encode_order(order))

        def put(database: sqlite3.Connection) -> None:
            database.execute("INSERT OR REPLACE INTO orders VALUES (?, ?)", row)

        await self._write(put)
        self._changed()

    async def lift(self, backend: str, kind: OrderKind) -> bool:
        place = place_of(backend, kind)

        def delete(database: sqlite3.Connection) -> int:
            return database.execute("DELETE FROM orders WHERE place = ?", (place,)).rowcount

        removed = await self._write(delete)
        self._changed()
        return removed > 0

    async def all(self) -> Mapping[str, BackendOrders]:
        return await self._read(
            lambda database: decode_orders(
                database.execute("SELECT place, said FROM orders").fetchall()
            )
        )
