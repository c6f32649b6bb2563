"""`/livez`, `/readyz`, `/metrics` of a worker that was given a port."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from common.runtime import Runtime
from ingress.api.access import guarded
from ingress.api.health import broker_reasons, store_reasons
from ingress.api.shapes import Readiness

router = APIRouter()


@router.get("/livez", response_class=PlainTextResponse)
async def livez() -> str:
    """The process runs."""
    return "ok"


@router.get("/readyz")
async def readyz(request: Request, response: Response) -> Readiness:
    """A worker is of use only with both, the store and the broker."""
    runtime: Runtime = request.app.state.runtime
    reasons = [*await store_reasons(runtime), *broker_reasons(runtime)]
    response.status_code = 503 if reasons else 200
    status = "not ready" if reasons else "ready"
    return Readiness(status=status, reasons=reasons, warnings=[])


@router.get("/metrics", dependencies=guarded(), response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """What this worker counted; the state of queues and jobs is told by an ingress."""
    runtime: Runtime = request.app.state.runtime
    runtime.metrics.store_up.set(not await store_reasons(runtime))
    runtime.metrics.broker_up.set(not broker_reasons(runtime))
    return Response(runtime.metrics.text(), media_type=CONTENT_TYPE_LATEST)
