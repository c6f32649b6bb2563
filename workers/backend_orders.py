"""What operators ordered about backends and queues, carried out by this worker."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from common.errors import StoreUnreachableError
from common.notifier.base import (
    NEWS,
    ORDERS_CHANGED,
    Gap,
    Hint,
    asking_channel,
    reply_channel,
)
from common.runtime import Runtime
from common.store.standing import BackendOrders, Order
from common.wire import dump_json, load_json
from workers.backends.pool import BackendPool
from workers.serving import Serving

log = structlog.get_logger(__name__)

LOOK = 30.0  # seconds between two looks, should a hint be lost
LOOK_AGAIN = 1.0  # seconds, while the store is away


class BackendOrdersHeard:
    def __init__(
        self,
        runtime: Runtime,
        lease: str,
        pools: Mapping[str, BackendPool],
        queues: Mapping[str, Serving],
        *,
        look: float = LOOK,
    ) -> None:
        self._runtime = runtime
        self._look = look
        self._queues = queues
        self._lease = lease
        self._pools = pools
        self._restarts: dict[str, str] = {}  # backend: the newest restart that was seen
        self._stale = asyncio.Event()
        self.known = asyncio.Event()  # they were read once: before that nothing is served

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_looking())
            group.create_task(self._answer_questions())
            async with self._runtime.notifier.listen([NEWS]) as hints:
                async for hint in hints:
                    if isinstance(hint, Gap) or hint.payload == ORDERS_CHANGED:
                        self._stale.set()

    async def _keep_looking(self) -> None:
        while True:
            self._stale.clear()
            try:
                self._obey(await self._runtime.store.orders.all())
            except StoreUnreachableError as error:
                log.warning("orders.unread", error=str(error))
                await self._runtime.clock.sleep(LOOK_AGAIN)
                continue
            self.known.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look):
                    await self._stale.wait()

    def _obey(self, orders: Mapping[str, BackendOrders]) -> None:
        for name, serving in self._queues.items():
            serving.halt(wanted=orders.get(name, BackendOrders()).paused is not None)
        for name, pool in self._pools.items():
            standing = orders.get(name, BackendOrders())
            pool.disable(None if standing.disabled is None else words_of(standing.disabled))
            restart = standing.restart
            seen = self._restarts.get(name)
            self._restarts[name] = "" if restart is None else restart.id
            # What was ordered before this worker started has been done by starting.
            if restart is not None and self.known.is_set() and restart.id != seen:
                log.info("backend.restart_ordered", backend=name, by=restart.by)
                pool.restart(f"restarted by {restart.by}", at_once=restart.at_once)

    async def _answer_questions(self) -> None:
        async with self._runtime.notifier.listen([asking_channel(self._lease)]) as hints:
            async for hint in hints:
                if not isinstance(hint, Hint):
                    continue
                try:
                    await self._tell_log(load_json(hint.payload))
                except (LookupError, ValueError, OSError):
                    # Another release may ask otherwise, and a file may not be readable.
                    log.warning("question.not_answered", exc_info=True)

    async def _tell_log(self, asked: Mapping[str, str | int]) -> None:
        pool = self._pools.get(str(asked["backend"]))
        if pool is None:
            return
        lines = await asyncio.to_thread(pool.log_tail, int(asked["lines"]))
        reply = dump_json({"worker": self._lease, "lines": lines})
        await self._runtime.notifier.publish(reply_channel(str(asked["reply"])), reply)


def words_of(order: Order) -> str:
    """Who gave it, and when."""
    at = datetime.fromtimestamp(order.at / 1000, UTC)
    return f"by {order.by} since {at:%H:%M:%S} UTC"
