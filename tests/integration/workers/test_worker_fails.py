"""A worker that fails leaves things in the order in which a parent would clear up after it."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from common.jobs.state import JobState
from common.runtime import new_lease
from tests.support.logbook import lines
from tests.support.processes import alive
from tests.support.system import OpenSystem, System, gated
from tests.support.waiting import until
from workers.worker import Worker

pytestmark = pytest.mark.anyio


@dataclass
class Witness:
    """The system's store; at the release of a lease it looks which of these processes live."""

    system: System
    pids: tuple[int, ...] = ()
    living: list[int] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.system.store, name)

    async def release(self, lease: str) -> None:
        self.living = alive(*self.pids)
        await self.system.store.release(lease)


async def test_its_lease_goes_after_its_replicas(system_on: OpenSystem, tmp_path: Path) -> None:
    """Or its job would start again elsewhere while the tool still runs."""
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on(gated(trusted=True)) as system:
        lease, store = new_lease("worker"), Witness(system)
        system.leases.add(lease)
        ours: Any = replace(system.runtime, store=store)
        worker = Worker(ours, lease, system.rules, {"b": 1})
        failing = asyncio.create_task(worker.run())
        job = await system.submit("b__safe", log=str(log), gate=str(gate))
        await until(lambda: lines(log))
        [backend] = worker.info()["backends"]
        store.pids = tuple(replica["pid"] for replica in backend["replicas"])
        failing.cancel()
        await asyncio.wait([failing])
        assert store.pids
        assert store.living == []
        gate.touch()
        async with system.worker():
            head = await system.ended(job, seconds=20)
            assert (head.state, head.tries) == (JobState.COMPLETED, 2)
