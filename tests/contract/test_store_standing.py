"""The store's contract: what operators ordered about backends."""

import pytest

from common.notifier.base import NEWS, ORDERS_CHANGED, Hint
from common.store.standing import BackendOrders, Order
from tests.support.hearing import listening
from tests.support.ledger import Ledger

pytestmark = pytest.mark.anyio

FIRST = Order(id="1", by="ann", at=1_000)
SECOND = Order(id="2", by="bob", at=2_000, at_once=True)


async def test_orders_stand_until_they_are_lifted(ledger: Ledger) -> None:
    orders = ledger.store.orders
    assert await orders.all() == {}
    await orders.give("a:b", "disabled", FIRST)
    await orders.give("a:b", "restart", FIRST)
    await orders.give("a:b", "restart", SECOND)
    await orders.give("c", "restart", FIRST)
    await orders.give("a:b", "paused", SECOND)
    assert await orders.all() == {
        "a:b": BackendOrders(disabled=FIRST, restart=SECOND, paused=SECOND),
        "c": BackendOrders(restart=FIRST),
    }
    assert await orders.lift("a:b", "disabled")
    assert not await orders.lift("a:b", "disabled")
    assert (await orders.all())["a:b"] == BackendOrders(restart=SECOND, paused=SECOND)


async def test_everyone_hears_of_a_change(ledger: Ledger) -> None:
    async with listening(ledger.notifier, NEWS) as heard:
        await ledger.store.orders.give("b", "disabled", FIRST)
        await ledger.store.orders.lift("b", "disabled")
        assert await heard.all() == [Hint(NEWS, ORDERS_CHANGED)] * 2
