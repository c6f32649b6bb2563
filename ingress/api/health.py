"""`/`, `/livez`, `/readyz`, `/metrics`: for those who watch over the process."""

import asyncio

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from common.errors import StoreUnreachableError
from common.runtime import Runtime
from ingress.api.access import TheIngress, guarded
from ingress.api.job_view import rfc3339
from ingress.api.shapes import Readiness
from ingress.ingress import Ingress
from ingress.operations.headroom import FULL
from ingress.operations.measure import measure

PATIENCE = 2.0  # seconds for the store to answer a probe

router = APIRouter(tags=["operations"])


@router.get("/", response_class=PlainTextResponse, include_in_schema=False)
async def front() -> str:
    """For whoever opens the address in a browser."""
    return "This is Longhaul. Agents connect to /mcp; /docs describes the REST interface.\n"


@router.get("/livez", response_class=PlainTextResponse)
async def livez() -> str:
    """The process runs."""
    return "ok"


@router.get("/readyz", responses={503: {"model": Readiness}})
async def readyz(ingress: TheIngress, request: Request, response: Response) -> Readiness:
    """Whether it can serve; the reasons why not, and what it can serve without.

    A broker that was never reached is a reason; one that is lost later is a warning, because calls
    are still accepted and stored.
    """
    reasons, warnings = await store_reasons(ingress.runtime), []
    broker = broker_reasons(ingress.runtime)
    request.app.state.broker_reached |= not broker
    if request.app.state.broker_reached:
        warnings += broker
    else:
        reasons += broker
    if ingress.stopping.is_set():
        reasons.append("it was asked to stop")
    if not ingress.feed.loaded.is_set():
        reasons.append("the catalogue has not been read yet")
    if not ingress.ring.loaded:
        reasons.append("the API keys have not been read yet")
    response.status_code = 503 if reasons else 200
    if not reasons:
        warnings += [*await _memory(ingress.runtime), *await _warnings(ingress)]
    return Readiness(status="not ready" if reasons else "ready", reasons=reasons, warnings=warnings)


@router.get("/metrics", dependencies=guarded(), response_class=PlainTextResponse)
async def metrics(ingress: TheIngress) -> Response:
    """Prometheus' text format."""
    await measure(ingress)
    return Response(ingress.runtime.metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def store_reasons(runtime: Runtime) -> list[str]:
    try:
        async with asyncio.timeout(PATIENCE):
            await runtime.store.now()
    except (StoreUnreachableError, TimeoutError):
        return ["the store does not answer"]
    return []


def broker_reasons(runtime: Runtime) -> list[str]:
    since = runtime.broker.unreachable_since
    return [] if since is None else [f"the broker is unreachable since {rfc3339(since * 1000)}"]


async def _memory(runtime: Runtime) -> list[str]:
    try:
        used = await runtime.store.fullness()
    except StoreUnreachableError:
        return []
    return [f"the store's memory is {used:.0%} full: new jobs are refused"] if used > FULL else []


async def _warnings(ingress: Ingress) -> list[str]:
    try:
        fleet = await ingress.fleet.now()
    except StoreUnreachableError:
        return []
    if not any(fleet.workers):
        return ["no worker is running; calls wait in their queues"]
    down = [
        backend.name
        for worker in fleet.workers
        for backend in worker.backends
        if not any(replica.state == "ready" for replica in backend.replicas)
    ]
    return [f"backend {name} is not up on a worker" for name in sorted(set(down))]
