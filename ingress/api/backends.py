"""`/v1/backends/{name}/…`: what operators order about a backend, and what it wrote to stderr."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from ingress.api import shapes
from ingress.api.access import CurrentCaller, TheIngress
from ingress.api.fleet import show_backend
from ingress.errors import MEDIA_TYPE
from ingress.ingress import Ingress
from ingress.operations import backends

MOST_LINES = 1_000
_PROBLEM: dict[str, Any] = {"description": "A problem", "content": {MEDIA_TYPE: {}}}

router = APIRouter(
    prefix="/backends/{name}", tags=["operations"], responses=dict.fromkeys((404, 503), _PROBLEM)
)


@router.post("/disable", status_code=202)
async def disable_backend(name: str, ingress: TheIngress, caller: CurrentCaller) -> shapes.Backend:
    """Send it no more calls: its jobs wait, those that run go on. Workers hear it at once."""
    await backends.disable(ingress, name, caller.name)
    return await _shown(ingress, name)


@router.post("/enable", status_code=202)
async def enable_backend(name: str, ingress: TheIngress, caller: CurrentCaller) -> shapes.Backend:
    """Send it calls again."""
    await backends.enable(ingress, name, caller.name)
    return await _shown(ingress, name)


@router.post("/restart", status_code=202)
async def restart_backend(
    name: str,
    ingress: TheIngress,
    caller: CurrentCaller,
    now: Annotated[bool, Query(description="at once, whatever runs on it")] = False,
) -> shapes.Backend:
    """Start every replica afresh, one after the other, each once its calls have ended."""
    await backends.restart(ingress, name, caller.name, at_once=now)
    return await _shown(ingress, name)


@router.delete("", responses={409: _PROBLEM})
async def forget_backend(
    name: str, ingress: TheIngress, caller: CurrentCaller
) -> shapes.ForgottenBackend:
    """Take its tools out of the catalogue; its jobs that wait fail. Not while a worker runs it."""
    done = await backends.forget(ingress, name, caller.name)
    return shapes.ForgottenBackend(name=name, tools=done.tools, failed=done.failed)


@router.get("/logs")
async def get_logs(
    name: str, ingress: TheIngress, lines: Annotated[int, Query(ge=1, le=MOST_LINES)] = 100
) -> shapes.BackendLogs:
    """The last lines that its processes wrote to stderr, as each worker keeps them."""
    found = await backends.logs(ingress, name, lines)
    return shapes.BackendLogs(
        logs=[
            shapes.BackendLog(
                worker=each.worker.lease,
                host=each.worker.host,
                lines=None if each.lines is None else list(each.lines),
            )
            for each in found
        ]
    )


async def _shown(ingress: Ingress, name: str) -> shapes.Backend:
    return show_backend(ingress, await ingress.fleet.now(), name)
