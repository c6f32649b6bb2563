"""A whole router in this process, embedded, in front of a backend, and its MCP address."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.routing import Route

from common.catalogue import catalogue_entry
from common.config.model import Answering, Backend, Settings
from common.jobs.head import Head
from common.jobs.indexes import ALL
from common.jobs.state import JobState
from common.recovery import publish_waiting, release_predecessors
from common.routing.rules import Rules
from common.runtime import Runtime, new_lease, open_runtime
from ingress.auth import Admission, Door
from ingress.ingress import Ingress, build_ingress
from ingress.mcp.endpoint import McpEndpoint
from tests.support.backends.serving import served
from tests.support.waiting import until, until_answered
from workers.worker import Worker

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
ANSWERING = Answering(call_wait=10.0, heartbeat=0.2, abandon_after=0.3, orphan_ttl=0.3)


@dataclass(frozen=True, kw_only=True)
class Router:
    url: str  # of its MCP endpoint
    runtime: Runtime
    ingress: Ingress
    endpoint: McpEndpoint
    cut_off: Callable[[], Awaitable[None]]  # ends its HTTP server, whatever is under way

    async def jobs(self) -> list[Head]:
        """The newest first."""
        return list((await self.runtime.store.page(ALL, limit=1_000)).heads)

    async def only_job(self) -> Head:
        jobs = await self.jobs()
        assert len(jobs) == 1, jobs
        return jobs[0]

    async def until_state(self, *states: JobState) -> Head:
        """The one job, once it is in one of these states: a reconciler's look may take 5 s."""

        async def reached() -> Head | None:
            jobs = await self.jobs()
            return jobs[0] if len(jobs) == 1 and jobs[0].state in states else None

        head = await until_answered(reached, seconds=20)
        assert head is not None
        return head

    async def until_listed(self, tool: str) -> None:
        """Longer than a promise may take: a worker has to reach the backend for it."""
        await until(lambda: tool in self.ingress.feed.current.tools, seconds=20)


@asynccontextmanager
async def router(
    folder: Path, backend_url: str, *, slots: int = 8, carried: bool = False, **settings: Any
) -> AsyncIterator[Router]:
    """Running, with the backend's tools in its catalogue; with no slots nothing runs them."""
    backend = Backend(name="fixture", transport="http", urls=(backend_url,), concurrency=8)
    answering = settings.pop("answering", ANSWERING)
    # Otherwise a call that is held too long is handed off at once.
    rounds = {} if carried else {"carry_rounds": 0}
    configured = Settings.model_validate(
        {
            "store_url": f"sqlite:///{folder}/jobs.db",
            "namespace": f"t{secrets.token_hex(4)}",  # on a shared Redis, a router's own
            "data": str(folder),
            "namespaces": False,
            "answering": answering.model_copy(update=rounds),
            "backends": (backend,),
            **settings,
        }
    )
    rules = Rules(configured)
    async with open_runtime(configured) as runtime:
        if configured.embedded:  # as `longhaul up` does
            await release_predecessors(runtime)
            await publish_waiting(runtime)
        ingress = _ingress(runtime, rules)
        endpoint = McpEndpoint(ingress)
        worker = Worker(runtime, new_lease("worker"), rules, {"fixture": slots} if slots else {})
        app = door_to(endpoint, runtime)
        async with _running(worker), _running(ingress), AsyncExitStack() as front:
            await front.enter_async_context(endpoint.run())
            base = await front.enter_async_context(served(app))
            if slots:  # a precondition: nothing promises how soon a worker has read its tools
                await until(lambda: ingress.feed.current.tools, seconds=20)
            yield Router(
                url=f"{base}/mcp",
                runtime=runtime,
                ingress=ingress,
                endpoint=endpoint,
                cut_off=front.aclose,
            )


def door_to(endpoint: McpEndpoint, runtime: Runtime) -> Door:
    """In front of the endpoint alone, at `/mcp`."""
    listen = runtime.settings.listen
    return Door(
        Starlette(routes=[Route("/mcp", endpoint)]),
        admission=Admission(listen),
        max_body=listen.max_body,
        streamed={},
        metrics=runtime.metrics,
    )


def _ingress(runtime: Runtime, rules: Rules) -> Ingress:
    secret = runtime.settings.secret_key
    return build_ingress(runtime, new_lease("ingress"), rules, secret_key=secret)


@asynccontextmanager
async def _running(part: Worker | Ingress) -> AsyncIterator[None]:
    task = asyncio.create_task(part.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled(), task.exception()


def modern_call(
    tool: str,
    arguments: dict[str, Any] | None = None,
    *,
    meta: dict[str, Any] | None = None,
    method: str = "tools/call",
    **params: Any,
) -> dict[str, Any]:
    """Keyword arguments for an httpx2 POST of one 2026-07-28 request."""
    envelope = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        **(meta or {}),
    }
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": MODERN,
        "mcp-method": method,
    }
    body: dict[str, Any] = {**params, "_meta": envelope}
    if method == "tools/call":
        body |= {"name": tool, "arguments": arguments or {}}
        headers["mcp-name"] = tool
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": body}
    return {"json": request, "headers": headers}


def tool(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, **more}


async def offer(longhaul: Router, *tools: dict[str, Any]) -> None:
    """Put tools into the catalogue that nobody runs."""
    listing = {"tools": list(tools)}
    entry = catalogue_entry(backend="fixture", started_at=1, trusted=False, listing=listing)
    assert await longhaul.runtime.store.put_catalogue(entry)
    await longhaul.until_listed(tools[-1]["name"])


class LegacyClient:
    """A 2025-11-25 client by hand: what official ones would not do can be done with it."""

    def __init__(self, http: httpx2.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url
        self.version = LEGACY
        self.headers = {"accept": "application/json, text/event-stream"}

    async def initialize(self, name: str = "by-hand") -> dict[str, Any]:
        params = {
            "protocolVersion": self.version,
            "capabilities": {},
            "clientInfo": {"name": name, "version": "0"},
        }
        response = await self.post("initialize", params, id=0)
        assert response.status_code == 200, response.text
        self.headers["mcp-session-id"] = response.headers["mcp-session-id"]
        self.headers["mcp-protocol-version"] = self.version
        assert (await self.post("notifications/initialized")).status_code == 202
        return last_message(response.text)

    def message(
        self, method: str, params: dict[str, Any] | None = None, **extra: Any
    ) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "method": method, "params": params or {}, **extra}

    async def post(
        self, method: str, params: dict[str, Any] | None = None, **extra: Any
    ) -> httpx2.Response:
        message = self.message(method, params, **extra)
        return await self._http.post(self._url, json=message, headers=self.headers)

    def stream(self, method: str, params: dict[str, Any], **extra: Any) -> Any:
        message = self.message(method, params, **extra)
        return self._http.stream("POST", self._url, json=message, headers=self.headers)

    def call(self, tool: str, *, request_id: int, **params: Any) -> Any:
        arguments = {"name": tool, "arguments": {}, **params}
        return self.stream("tools/call", arguments, id=request_id)

    async def delete(self) -> httpx2.Response:
        return await self._http.delete(self._url, headers=self.headers)


def messages(body: str) -> list[dict[str, Any]]:
    """The JSON-RPC messages of a body: one as JSON, or those of an event stream."""
    if body.startswith("{"):
        return [httpx2.Response(200, text=body).json()]
    return [
        httpx2.Response(200, content=line.removeprefix("data:").strip()).json()
        for line in body.splitlines()
        if line.startswith("data:") and line.removeprefix("data:").strip()
    ]


def last_message(body: str) -> dict[str, Any]:
    return messages(body)[-1]
