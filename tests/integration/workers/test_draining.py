"""A worker that drains takes nothing more, whatever is away meanwhile, and ends at its deadline."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from common.brokers.base import BrokerError
from common.errors import StoreUnreachableError
from common.jobs.state import JobState
from common.runtime import new_lease
from tests.support.logbook import lines
from tests.support.system import Place, System, open_system, running
from tests.support.waiting import until
from workers.worker import Worker

pytestmark = pytest.mark.anyio

DRAIN = 0.5  # seconds


@dataclass
class Leaving:
    """The real one, but for some methods while they raise this."""

    real: Any
    methods: tuple[str, ...]
    error: Exception | None = None
    asked: int = 0

    def __getattr__(self, name: str) -> Any:
        return self._refuse if self.error and name in self.methods else getattr(self.real, name)

    async def _refuse(self, *_: object, **__: object) -> None:
        self.asked += 1
        assert self.error is not None
        raise self.error


@asynccontextmanager
async def worker_on(system: System, **parts: Any) -> AsyncIterator[Worker]:
    """A worker whose store or broker may go away, beside a system whose do not."""
    async with system.worker():
        await system.offered("b__work")
    lease = new_lease("worker")
    system.leases.add(lease)
    ours = replace(system.runtime, **parts)
    worker = Worker(ours, lease, system.rules, {"b": 1})
    async with running(worker.run()):
        yield worker


async def test_what_is_claimed_after_the_deadline_is_not_started(
    embedded_place: Place, tmp_path: Path
) -> None:
    """Its claim may have been written before the store went away: only the store can tell."""
    log = tmp_path / "log"
    async with open_system(embedded_place.settings(drain=DRAIN)) as system:
        store = Leaving(system.store, ("commit",))
        async with worker_on(system, store=store) as worker:
            store.error = StoreUnreachableError("away")
            job = await system.submit(log=str(log))
            await until(lambda: store.asked)
            draining = asyncio.create_task(worker.drain())
            await asyncio.wait([draining], timeout=3 * DRAIN)
            assert not draining.done()
            store.error = None
            async with asyncio.timeout(10):
                await draining
        head = await system.head(job)
        assert (head.state, head.tries, head.hand_backs) == (JobState.QUEUED, 0, 1)
        assert lines(log) == []
        async with system.worker():
            head = await system.ended(job, seconds=20)
            assert (head.state, head.tries) == (JobState.COMPLETED, 1)


@pytest.mark.parametrize("away", ["store", "both"])
async def test_what_was_never_claimed_keeps_no_worker(
    embedded_place: Place, tmp_path: Path, away: str
) -> None:
    async with open_system(embedded_place.settings(drain=DRAIN)) as system:
        store = Leaving(system.store, ("commit", "get"))
        broker = Leaving(system.runtime.broker, ("publish", "park"))
        async with worker_on(system, store=store, broker=broker) as worker:
            store.error = StoreUnreachableError("away", nothing_written=True)
            job = await system.submit(log=str(tmp_path / "log"))
            await until(lambda: store.asked)
            broker.error = BrokerError("away") if away == "both" else None
            async with asyncio.timeout(10):
                await worker.drain()
            store.error = None
        async with system.worker():
            assert (await system.ended(job, seconds=20)).tries == 1
