"""The heartbeat, and a store that was away."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from common.clock import Clock, SystemClock
from common.heartbeat import EVERY, Heartbeat
from common.store.base import JobStore
from common.store.redis.store import open_redis_store
from common.tasks import cancel_and_join
from tests.support.journal import journal
from tests.support.links import linked
from tests.support.namespaces import Namespace
from tests.support.servers import Shared
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio


@dataclass
class Runtime:
    store: JobStore
    clock: Clock


async def test_after_a_beat_that_failed_the_next_one_does_not_take_its_time(
    redis_server: Shared, namespace: Namespace
) -> None:
    """Others may beat on before: they see no outage, and a lease that is about to lapse."""
    clock = SystemClock()
    async with (
        linked(redis_server.url) as link,
        open_redis_store(link.url, namespace, clock) as away,
        open_redis_store(redis_server.url, namespace, clock) as store,
    ):
        link.cut()
        runtime: Any = Runtime(away, clock)  # the part of one that a heartbeat uses
        with journal() as said:
            beating = asyncio.create_task(Heartbeat(runtime, "w1", dict).run())
            await until(lambda: said.of("lease.not_refreshed"))
            link.mend()

            async def alive() -> bool:
                return bool(await store.leases())

            await until_answered(alive, seconds=EVERY - 1.0)
            await cancel_and_join(beating)
