"""`RedisStandingOrders`: one hash, a field for each order."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from common.notifier.base import NEWS, ORDERS_CHANGED
from common.store.order_rows import decode_orders, encode_order, place_of
from common.store.redis.keys import Keys
from common.store.standing import BackendOrders, Order, OrderKind

Send = Callable[..., Awaitable[Any]]


class RedisStandingOrders:
    def __init__(self, send: Send, keys: Keys) -> None:
        """`send` takes a command and its arguments."""
        self._send = send
        self._keys = keys

    async def give(self, backend: str, kind: OrderKind, order: Order) -> None:
        await self._send("HSET", self._keys.orders, place_of(backend, kind), encode_order(order))
        await self._tell()

    async def lift(self, backend: str, kind: OrderKind) -> bool:
        removed = await self._send("HDEL", self._keys.orders, place_of(backend, kind))
        await self._tell()
        return bool(removed)

    async def all(self) -> Mapping[str, BackendOrders]:
        stored = await self._send("HGETALL", self._keys.orders)
        return decode_orders((place.decode(), raw) for place, raw in stored.items())

    async def _tell(self) -> None:
        await self._send("PUBLISH", f"{self._keys.channels}{NEWS}", ORDERS_CHANGED)
