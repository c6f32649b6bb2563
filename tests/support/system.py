"""Longhaul without its faces, in the test's own process: a runtime, an ingress and workers."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from common.clock import SystemClock
from common.config.model import Backend, Settings
from common.config.urls import sqlite_url
from common.jobs.change import Done, Due
from common.jobs.endings import RESULT
from common.jobs.head import Head
from common.jobs.indexes import owner_index
from common.jobs.state import JobState
from common.publishing import token_of
from common.reconciler import Reconciler
from common.recovery import publish_waiting, release_predecessors
from common.routing.rules import Rules
from common.runtime import Runtime, new_lease, open_runtime
from common.wire import load_json
from ingress.ingress import Ingress, build_ingress
from ingress.operations.call_request import CallRequest
from ingress.operations.follow import Watch
from tests.support.ledger import Ledger, check_invariants, touch
from tests.support.waiting import until, until_answered
from workers.worker import Worker

BACKENDS = Path(__file__).parent / "backends"
CALLER = "somebody"
DUE_NOW = Due(after=0)


def gated(name: str = "b", **settings: Any) -> Backend:
    """The backend whose tools do what a test says: `tests/support/backends/gated.py`."""
    program = str(BACKENDS / "gated.py")
    return Backend(name=name, command=sys.executable, args=(program,), **settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a system stands."""

    broker_url: str
    store_url: str
    namespace: str
    data: Path

    def settings(self, *backends: Backend, **more: Any) -> Settings:
        return Settings(
            broker_url=self.broker_url,
            store_url=self.store_url,
            namespace=self.namespace,
            data=str(self.data),
            backends=backends or (gated(),),
            **more,
        )


class System:
    """What a test asks of Longhaul, and what it may know."""

    def __init__(self, runtime: Runtime, rules: Rules, ingress: Ingress) -> None:
        self.runtime = runtime
        self.rules = rules
        self.ingress = ingress
        self.store = runtime.store
        self.leases: set[str] = set()  # of every worker there was

    # --- workers

    @asynccontextmanager
    async def worker(self, queues: Mapping[str, int] | None = None) -> AsyncIterator[str]:
        """A worker for all queues, or for these; its lease."""
        lease = new_lease("worker")
        self.leases.add(lease)
        served = queues or {queue: self.rules.slots(queue) for queue in self.rules.queue_backends()}
        async with running(Worker(self.runtime, lease, self.rules, served).run()):
            yield lease

    # --- what an ingress does

    async def submit(self, tool: str = "b__work", **arguments: Any) -> str:
        """A job whose id was given out."""
        return await self.submit_with(tool, arguments)

    async def submit_with(
        self, tool: str, arguments: Mapping[str, Any] | None = None, **more: Any
    ) -> str:
        await self.offered(tool)
        accepted = await self.ingress.submit.accept(request(tool, arguments, **more))
        return accepted.job

    @asynccontextmanager
    async def held(
        self, tool: str = "b__work", **arguments: Any
    ) -> AsyncIterator[tuple[str, Watch]]:
        """A job whose caller is held, hearing everything about it."""
        await self.offered(tool)
        watch = Watch(everything=True)
        try:
            accepted = await self.ingress.submit.hold(request(tool, arguments), watch)
            yield accepted.job, watch
        finally:
            self.ingress.follower.forget(watch)

    async def offered(self, tool: str) -> None:
        """Longer than a promise may take: a backend's process has to start for it."""
        await until(lambda: tool in self.ingress.feed.current.tools, seconds=20)

    async def publish(self, job: str) -> None:
        """The job's token once more."""
        head = await self.head(job)
        token = token_of(head, generation=head.generation, version=head.version)
        await self.runtime.broker.publish(head.queue, token, head.spec.priority)

    async def cancel(self, job: str) -> bool:
        return await self.ingress.cancel.cancel(job, "asked to")

    # --- what is known of a job

    async def head(self, job: str) -> Head:
        head = await self.store.get(job)
        assert head is not None
        return head

    async def ended(self, job: str, *, seconds: float = 10.0) -> Head:
        """The record at the job's end, of which a follower must have heard."""
        async with self.ingress.follower.follow(job, everything=False) as watch:
            head = await self.head(job)
            async with asyncio.timeout(seconds):
                while not head.terminal and watch.end is None:
                    await watch.next(None)
            return await self.head(job)

    async def settled(self, job: str, *, seconds: float = 10.0) -> Head:
        """As `ended`, for tests of what stands behind lost hints: looks at the record only."""
        return await self.until_head(job, lambda head: head.terminal, seconds=seconds)

    async def until_head(
        self, job: str, fact: Callable[[Head], bool], *, seconds: float = 10.0
    ) -> Head:
        async def look() -> Head | None:
            head = await self.store.get(job)
            return head if head is not None and fact(head) else None

        found = await until_answered(look, seconds=seconds)
        assert found is not None
        return found

    async def in_state(self, job: str, state: JobState, *, seconds: float = 10.0) -> Head:
        return await self.until_head(job, lambda head: head.state is state, seconds=seconds)

    async def result(self, job: str) -> Any:
        raw = await self.store.part(job, RESULT)
        return None if raw is None else load_json(raw)

    async def events(self, job: str) -> list[str]:
        return [event.name for event in await self.store.events(job)]

    async def until_ready(self, queue: str, count: int, *, seconds: float = 10.0) -> None:
        """Wait until so many tokens wait at the broker."""

        async def so_many() -> bool:
            depth = await self.runtime.broker.depth(queue)
            return depth is not None and depth.ready == count

        await until_answered(so_many, seconds=seconds)

    async def look_now(self, *jobs: str) -> None:
        """Make their checks due at once, as if their time had passed, and have them done."""

        async def touched(job: str) -> bool:
            head = await self.head(job)
            due = touch(due=DUE_NOW)
            return isinstance(await self.store.commit(job, due, version=head.version), Done)

        for job in jobs:
            await until_answered(partial(touched, job))
        await Reconciler(self.runtime).sweep()

    async def check(self) -> None:
        """The invariants of the ledger; nothing may be under way."""
        # A commit whose caller was cancelled may be: SQLite writes in order, so it is done by then.
        await self.store.release("nobody")
        await check_invariants(Ledger(self.store, self.runtime.notifier))
        for lease in self.leases:
            page = await self.store.page(owner_index(lease), limit=100)
            assert [head.id for head in page.heads if head.owner != lease] == []


OpenSystem = Callable[..., AbstractAsyncContextManager[System]]


def request(tool: str, arguments: Mapping[str, Any] | None, **more: Any) -> CallRequest:
    return CallRequest(tool=tool, arguments=arguments, caller=CALLER, request_id="test", **more)


@asynccontextmanager
async def open_system(settings: Settings) -> AsyncIterator[System]:
    """A system without workers; the ledger's invariants are checked when the block has ended."""
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(open_runtime(settings, SystemClock()))
        if settings.embedded:
            await release_predecessors(runtime)
            await publish_waiting(runtime)
        rules = Rules(settings)
        ingress = build_ingress(runtime, new_lease("ingress"), rules)
        system = System(runtime, rules, ingress)
        stack.push_async_callback(system.check)
        await stack.enter_async_context(running(Reconciler(runtime).run()))
        await stack.enter_async_context(running(ingress.run()))
        stack.push_async_callback(ingress.submit.aclose)
        yield system


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """The work goes on beside the block, and must not have ended before it."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
            raise AssertionError(f"{work} ended by itself")


def embedded(folder: Path) -> Place:
    return Place(
        broker_url="memory:",
        store_url=sqlite_url(folder / "longhaul.db"),
        namespace="lh",
        data=folder / "data",
    )
