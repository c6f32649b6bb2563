"""The worker: serves queues with slots, and keeps the backends behind them alive."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from common.heartbeat import Heartbeat
from common.reconciler import Reconciler
from common.routing.rules import Rules
from common.runtime import Runtime
from common.tasks import first_of
from workers.backend_orders import BackendOrdersHeard
from workers.backends.groups import owner_lives
from workers.backends.pool import BackendPool
from workers.claims import Claims
from workers.discovery import Discovery
from workers.executor import Executor
from workers.orders import Orders
from workers.outbox import Outboxes
from workers.retry_budget import Budgets
from workers.serving import Serving
from workers.settlement import Settlement
from workers.strays import Strays

log = structlog.get_logger(__name__)


class Worker:
    """`queues` maps each queue to its slots; the backends they carry run in this process."""

    def __init__(
        self, runtime: Runtime, lease: str, rules: Rules, queues: Mapping[str, int]
    ) -> None:
        self._runtime = runtime
        self._lease = lease
        self._started_at = round(runtime.clock.now() * 1000)
        self._pools = _pools(runtime, lease, rules, queues)
        self._heartbeat = Heartbeat(runtime, lease, self.info)
        self._reconciler = Reconciler(runtime)
        self._claims = Claims(runtime, lease, self._heartbeat, self._reconciler.window)
        self._draining = asyncio.Event()
        self._drained = asyncio.Event()
        budgets = Budgets(runtime.settings.backends, runtime.clock)
        settlement = Settlement(runtime, lease, budgets)
        self._executor = Executor(runtime, self._pools, self._claims, settlement, self._draining)
        carried = rules.queue_backends()
        self._serving = {
            queue: Serving(
                runtime.broker,
                self._executor,
                queue,
                slots,
                [self._pools[name] for name in carried.get(queue, ()) if name in self._pools],
                self._draining,
            )
            for queue, slots in queues.items()
        }
        self._orders = Orders(runtime, lease, self._executor.running)
        self._strays = Strays(runtime, lease, self._executor.running, settlement)
        self._backend_orders = BackendOrdersHeard(runtime, lease, self._pools, self._serving)

    async def run(self) -> None:
        """Until cancelled; every task it started has ended then."""
        data = Path(self._runtime.settings.data)
        with owner_lives(data, self._lease):
            await self._run()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as lease, asyncio.TaskGroup() as group:
            # Released last: who takes its jobs then must not meet a replica that still runs one.
            lease.create_task(self._heartbeat.run())
            group.create_task(self._orders.run())
            group.create_task(self._strays.run())
            group.create_task(Outboxes(self._runtime).run())
            group.create_task(self._backend_orders.run())
            group.create_task(self._reconciler.run())
            for pool in self._pools.values():
                group.create_task(pool.run())
            group.create_task(self._serve())

    async def _serve(self) -> None:
        await first_of(self._backend_orders.known.wait(), self._draining.wait())
        async with asyncio.TaskGroup() as queues:
            for serving in self._serving.values():
                queues.create_task(serving.run())
        self._drained.set()

    async def drain(self) -> None:
        """Take no more; returns once nothing runs.

        After `drain` seconds what may run again is handed back, uncounted. What may not runs on.
        """
        seconds, running = self._runtime.settings.drain, self._executor.running
        log.info("worker.drains", running=len(running), seconds=seconds)
        self._draining.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._drained.wait()
        self._executor.ends.set()
        handed_back = [run.head.id for run in tuple(running.values()) if run.hand_back()]
        if running:
            kept = len(running) - len(handed_back)
            log.warning(
                "worker.drain_over",
                handed_back=len(handed_back),
                still_running=kept,
                help="what may not run again goes on to its end; a second signal ends it",
            )
        await self._drained.wait()

    def info(self) -> dict[str, Any]:
        """What the process says of itself with each beat."""
        return {
            "role": "worker",
            "started_at": self._started_at,
            "draining": self._draining.is_set(),
            "queues": {
                queue: {
                    "slots": each.slots,
                    "busy": each.busy,
                    "paused": each.paused,
                    "passings": self._claims.passings(queue),
                }
                for queue, each in self._serving.items()
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
