"""The HTTP surface in this process: a real server over a real store, jobs moved by the test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from common.catalogue import catalogue_entry
from common.config.model import Settings
from common.config.urls import sqlite_url
from common.jobs.change import Change, Done
from common.jobs.endings import RetentionMs
from common.jobs.head import Head
from common.jobs.transitions import claim
from common.routing.rules import Rules
from common.runtime import Runtime, new_lease, open_runtime
from ingress.app import create_app
from ingress.ingress import Ingress, build_ingress
from tests.support.backends.serving import served
from tests.support.system import running
from tests.support.waiting import until

WORKER = "w1"
EXPORT = {
    "name": "export",
    "description": "Exports rows.",
    "inputSchema": {
        "type": "object",
        "properties": {"rows": {"type": "integer"}},
        "required": ["rows"],
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    http: httpx2.AsyncClient
    runtime: Runtime
    ingress: Ingress

    @property
    def retention(self) -> RetentionMs:
        return self.runtime.retention

    async def submit(self, rows: int = 3, **more: Any) -> dict[str, Any]:
        body = {"tool": "b__export", "arguments": {"rows": rows}} | more
        response = await self.http.post("/v1/jobs", json=body)
        assert response.status_code == 202, response.text
        return dict(response.json())

    async def head(self, job: str) -> Head:
        head = await self.runtime.store.get(job)
        assert head is not None
        return head

    async def commit(self, job: str, change: Change) -> None:
        head = await self.head(job)
        answer = await self.runtime.store.commit(job, change, version=head.version)
        assert isinstance(answer, Done), answer

    async def start(self, job: str) -> Head:
        """As a worker with a live lease does."""
        await self.beat()
        await self.commit(job, claim(WORKER))
        return await self.head(job)

    async def beat(self, **info: Any) -> None:
        said = {"role": "worker", "host": "box", "pid": 7, "started_at": 1_000, "version": "1"}
        await self.runtime.store.beat(WORKER, said | info)


@asynccontextmanager
async def surface(
    folder: Path,
    *,
    headers: dict[str, str] | None = None,
    local_key: str = "",
    still: bool = False,
    **settings: Any,
) -> AsyncIterator[Surface]:
    """Serving, with one tool in its catalogue; `still`: without what an ingress does by itself."""
    given = {"store_url": sqlite_url(folder / "longhaul.db"), "data": str(folder)} | settings
    configured = Settings.model_validate(given)
    async with AsyncExitStack() as stack:
        runtime = await stack.enter_async_context(open_runtime(configured))
        ingress = build_ingress(
            runtime, new_lease("ingress"), Rules(configured), local_key=local_key
        )
        listing = {"tools": [EXPORT]}
        entry = catalogue_entry(backend="b", started_at=1, trusted=False, listing=listing)
        await runtime.store.put_catalogue(entry)
        await stack.enter_async_context(running(_reading(ingress) if still else ingress.run()))
        app = create_app(ingress)
        await stack.enter_async_context(app.running())
        url = await stack.enter_async_context(served(app))
        http = await stack.enter_async_context(
            httpx2.AsyncClient(base_url=url, headers=headers, timeout=60)
        )
        await until(lambda: "b__export" in ingress.feed.current.tools and ingress.ring.loaded)
        yield Surface(http=http, runtime=runtime, ingress=ingress)


async def _reading(ingress: Ingress) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(ingress.feed.run())
        group.create_task(ingress.ring.run())
