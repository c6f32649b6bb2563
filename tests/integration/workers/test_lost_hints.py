"""Hints may be lost: orders about backends and API keys are known all the same, only later."""

import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from common.api_keys import Role, StoredKey, digest_of, new_key
from common.notifier.memory import MemoryNotifier
from common.runtime import open_runtime
from common.store.standing import Order
from ingress.caller import Caller
from ingress.key_ring import KeyRing
from tests.support.system import Place, gated, running
from tests.support.waiting import until
from workers.backend_orders import BackendOrdersHeard
from workers.backends.base import ToolListing
from workers.backends.pool import BackendPool

pytestmark = pytest.mark.anyio
LOOK = 0.2  # seconds


async def taken(_: ToolListing) -> None: ...


async def test_an_order_whose_hint_is_lost_is_obeyed(place: Place, tmp_path: Path) -> None:
    async with open_runtime(place.settings()) as runtime:
        deaf = replace(runtime, notifier=MemoryNotifier())
        pool = BackendPool(gated(), runtime.clock, data=tmp_path, owner="w", on_tools=taken)
        heard = BackendOrdersHeard(deaf, "w", {"b": pool}, {}, look=LOOK)
        async with running(heard.run()):
            await heard.known.wait()
            assert not pool.status().disabled
            order = Order(id=secrets.token_hex(6), by="ann", at=await runtime.store.now())
            await runtime.store.orders.give("b", "disabled", order)
            await until(lambda: pool.status().disabled)
            await runtime.store.orders.lift("b", "disabled")
            await until(lambda: not pool.status().disabled)


async def test_a_key_whose_hint_is_lost_is_known_and_revoked(place: Place) -> None:
    """Nobody tells this ring anything: whoever passes hints on to it does not run."""
    key = new_key()
    stored = StoredKey(
        name="ci", caller="alice", role=Role.USER, digest=digest_of(key), shown=key[:9]
    )
    async with open_runtime(place.settings()) as runtime:
        ring = KeyRing(runtime)
        async with running(ring.run()):
            await until(lambda: ring.loaded)
            assert not isinstance(ring.find(key), Caller)
            await runtime.store.api_keys.create(stored)
            await until(lambda: isinstance(ring.find(key), Caller), seconds=5)
            await runtime.store.api_keys.revoke("ci")
            await until(lambda: not isinstance(ring.find(key), Caller), seconds=5)
