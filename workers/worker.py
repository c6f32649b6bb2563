"""The worker: serves queues with slots, and keeps the backends behind them alive."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from common.heartbeat import Heartbeat
from common.reconciler import Reconciler
from common.routing.rules import Rules
from common.runtime import Runtime
from workers.backends.pool import BackendPool
from workers.claims import Claims
from workers.discovery import Discovery
from workers.executor import Executor
from workers.holding import Held
from workers.orders import Orders
from workers.settlement import Settlement

log = structlog.get_logger(__name__)


class Worker:
    """`queues` maps each queue to its slots; the backends they carry run in this process."""

    def __init__(
        self, runtime: Runtime, lease: str, rules: Rules, queues: Mapping[str, int]
    ) -> None:
        self._runtime = runtime
        self._queues = dict(queues)
        self._busy = dict.fromkeys(queues, 0)
        self._started_at = round(runtime.clock.now() * 1000)
        self._pools = _pools(runtime, lease, rules, queues)
        self._heartbeat = Heartbeat(runtime, lease, self.info)
        self._claims = Claims(runtime, lease, self._heartbeat)
        self._executor = Executor(runtime, self._pools, self._claims, Settlement(runtime, lease))
        self._orders = Orders(runtime, lease, self._executor.running)
        self._reconciler = Reconciler(runtime)

    async def run(self) -> None:
        """Until cancelled; every task it started has ended then."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._heartbeat.run())
            group.create_task(self._orders.run())
            group.create_task(self._reconciler.run())
            for pool in self._pools.values():
                group.create_task(pool.run())
            for queue, slots in self._queues.items():
                group.create_task(self._serve(queue, slots))

    async def _serve(self, queue: str, slots: int) -> None:
        async with (
            self._runtime.broker.consume(queue, slots) as deliveries,
            asyncio.TaskGroup() as runs,
        ):
            log.info("queue.served", queue=queue, slots=slots)
            async for delivery in deliveries:
                self._busy[queue] += 1
                runs.create_task(self._executor.run(Held(delivery, lambda: self._freed(queue))))

    def _freed(self, queue: str) -> None:
        self._busy[queue] -= 1

    def info(self) -> dict[str, Any]:
        """What the process says of itself with each beat."""
        return {
            "role": "worker",
            "started_at": self._started_at,
            "queues": {
                queue: {
                    "slots": slots,
                    "busy": self._busy[queue],
                    "passings": self._claims.passings(queue),
                }
                for queue, slots in self._queues.items()
            },
            "backends": [asdict(pool.status()) for pool in self._pools.values()],
        }


def _pools(
    runtime: Runtime, lease: str, rules: Rules, queues: Mapping[str, int]
) -> dict[str, BackendPool]:
    carried = rules.queue_backends()
    wanted = {backend for queue in queues for backend in carried.get(queue, ())}
    pools = {}
    for config in runtime.settings.backends:
        if config.name in wanted and not config.disabled:
            discovery = Discovery(runtime, trusted=config.trusted)
            pools[config.name] = BackendPool(
                config,
                runtime.clock,
                data=Path(runtime.settings.data),
                owner=lease,
                on_tools=discovery.publish,
            )
    return pools
