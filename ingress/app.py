"""The HTTP surface: the door, then MCP at `/mcp`, REST under `/v1`, health, metrics and docs."""

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from importlib.metadata import version as installed_version

import structlog
from fastapi import APIRouter, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from common.config.model import Listen
from common.runtime import Runtime
from ingress.api import (
    backends,
    batches,
    blobs,
    callbacks,
    dead_letters,
    fleet,
    health,
    jobs,
    keys,
    output,
    worker_health,
)
from ingress.api.access import guarded
from ingress.auth import OPEN, Admission, Door
from ingress.doorstep import Doorstep
from ingress.errors import answering_errors, handle_errors
from ingress.ingress import Ingress
from ingress.key_ring import KeyRing, ReadFirst
from ingress.mcp.endpoint import McpEndpoint
from ingress.operations.wait import Wait

log = structlog.get_logger(__name__)

MCP = "/mcp"

_ABOUT = (
    "Longhaul makes any MCP server's slow tools durable: a call becomes a job, a queue carries it, "
    "a worker runs it. Agents use `/mcp`; this is the interface for everybody else."
)


@dataclass(frozen=True, slots=True)
class App:
    """The ASGI application, and what must run beside it."""

    doorstep: Doorstep
    mcp: McpEndpoint
    wait: Wait
    stopping: asyncio.Event
    admission: Admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.doorstep(scope, receive, send)

    def running(self) -> AbstractAsyncContextManager[object]:
        """What the MCP sessions live in; open while requests are served."""
        return self.mcp.run()

    async def drain(self, seconds: float) -> None:
        """Let nobody in any more; returns once nobody is inside, or is soon.

        Streams end at once, as the protocol ends them. Held calls have so many seconds; then they
        are answered with the id of their job.
        """
        log.info("ingress.drains", seconds=seconds)
        self.stopping.set()
        self.mcp.end_streams()
        self.wait.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.doorstep.empty()
        self.mcp.stop()


def create_app(ingress: Ingress) -> App:
    mcp = McpEndpoint(ingress)
    api = create_api(ingress)
    # A `Route`, not a mount, which would redirect `/mcp` to `/mcp/`.
    api.router.routes.insert(0, Route(MCP, endpoint=mcp, include_in_schema=False))
    app = _in_front(api, answering_errors(mcp))
    listen = ingress.runtime.settings.listen
    admission = Admission(listen, ingress.local_key, ingress.ring.find)
    door = _door(app, ingress.runtime, admission)
    stopping = ingress.stopping
    doorstep = Doorstep(_for_pages(door, listen), stopping)
    wait = ingress.wait
    return App(doorstep=doorstep, mcp=mcp, wait=wait, stopping=stopping, admission=admission)


def _in_front(api: ASGIApp, mcp: ASGIApp) -> ASGIApp:
    """MCP is nearly all of the traffic, and needs nothing of what FastAPI does to a request."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        to = mcp if scope["type"] == "http" and scope["path"] == MCP else api
        await to(scope, receive, send)

    return app


def create_api(ingress: Ingress) -> FastAPI:
    """Everything but MCP."""
    api = _fastapi()
    api.state.ingress = ingress
    api.state.runtime = ingress.runtime
    api.state.broker_reached = False
    v1 = APIRouter(prefix="/v1", dependencies=guarded("/v1"))
    v1.include_router(jobs.router)
    v1.include_router(output.router)
    v1.include_router(dead_letters.router)
    v1.include_router(callbacks.router)
    v1.include_router(fleet.router)
    v1.include_router(backends.router)
    v1.include_router(keys.router)
    v1.include_router(blobs.router)
    v1.include_router(batches.router)
    api.include_router(v1)
    api.include_router(health.router)
    return api


def create_worker_app(runtime: Runtime) -> ASGIApp:
    """What a worker with a port serves: health and its own metrics, under the same rules."""
    api = _fastapi()
    api.state.runtime = runtime
    api.include_router(worker_health.router)
    ring = KeyRing(runtime)
    admission = Admission(runtime.settings.listen, find=ring.find)
    return ReadFirst(_door(api, runtime, admission), ring, OPEN)


def _fastapi() -> FastAPI:
    api = FastAPI(
        title="Longhaul",
        version=installed_version("mcp-longhaul"),
        description=_ABOUT,
        redoc_url=None,
    )
    handle_errors(api)
    return api


def _door(app: ASGIApp, runtime: Runtime, admission: Admission) -> Door:
    return Door(
        app,
        admission=admission,
        max_body=runtime.settings.listen.max_body,
        streamed={
            ("PUT", "/v1/blobs"): runtime.settings.documents.max_size,
            ("POST", "/v1/batches"): runtime.settings.batches.max_size,
        },
        metrics=runtime.metrics,
    )


def _for_pages(door: Door, listen: Listen) -> ASGIApp:
    """Pages of listed origins are told by CORS that they may; their preflights carry no key."""
    if not listen.allowed_origins:
        return door
    return CORSMiddleware(
        door,
        allow_origins=listen.allowed_origins,
        allow_methods=["GET", "HEAD", "POST", "PUT", "DELETE"],
        allow_headers=["*"],
        expose_headers=["mcp-session-id", "x-request-id", "location", "retry-after"],
        max_age=3600,
    )
