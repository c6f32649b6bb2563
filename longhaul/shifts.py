"""Shifts: the worker of this process, and who relieves it when the configuration has changed."""

import asyncio

import structlog

from common.routing.rules import Rules
from common.runtime import Runtime, new_lease
from longhaul.assignment import slots_of
from workers.worker import Worker

log = structlog.get_logger(__name__)


class Shifts:
    """Each worker has a lease and backends of its own; one that is relieved ends what it runs."""

    def __init__(self, runtime: Runtime, rules: Rules) -> None:
        self._runtime = runtime
        self._rules = rules
        self._group = asyncio.TaskGroup()
        self._work = self._wanted()
        self._worker = self._new()
        self._task: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._over = False  # nobody takes over from the worker that is there

    async def run(self) -> None:
        """Until cancelled."""
        async with self._group:
            self._task = self._group.create_task(self._worker.run())
            await asyncio.get_running_loop().create_future()

    def relieve(self) -> None:
        """A new worker takes over, if the settings in force give it other work or backends."""
        work = self._wanted()
        if self._over or self._task is None or work == self._work:
            return
        log.info("worker.relieved")
        leaving = self._group.create_task(_leave(self._worker, self._task))
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)
        self._worker, self._work = self._new(), work
        self._task = self._group.create_task(self._worker.run())

    async def drain(self) -> None:
        """Take no more; returns once nothing runs."""
        self._over = True
        await asyncio.gather(self._worker.drain(), *self._leaving)

    def _new(self) -> Worker:
        return Worker(self._runtime, new_lease("worker"), self._rules, slots_of(self._rules, {}))

    def _wanted(self) -> tuple[object, ...]:
        """What a worker takes on once, at its start."""
        rules, settings = self._rules, self._runtime.settings
        return settings.backends, settings.queues, slots_of(rules, {}), rules.queue_backends()


async def _leave(worker: Worker, task: asyncio.Task[None]) -> None:
    await worker.drain()
    task.cancel()
    await asyncio.wait([task])
