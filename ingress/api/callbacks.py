"""`/v1/callbacks`: which jobs' ends could not be told, or are still to be."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from common.jobs.callbacks import CallbackState
from ingress.api.access import CurrentCaller, TheIngress
from ingress.api.job_view import show_jobs
from ingress.api.shapes import Jobs
from ingress.errors import MALFORMED, MEDIA_TYPE, respond
from ingress.operations.read import is_cursor

_PROBLEM: dict[str, Any] = {"description": "A problem", "content": {MEDIA_TYPE: {}}}

router = APIRouter(
    prefix="/callbacks", tags=["callbacks"], responses=dict.fromkeys((422, 503), _PROBLEM)
)


@router.get("", response_model=Jobs)
async def list_callbacks(
    ingress: TheIngress,
    caller: CurrentCaller,
    state: CallbackState = CallbackState.FAILED,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: str | None = None,
) -> Jobs | Response:
    """Jobs by the state of their callback, without results; those that came to it last first."""
    if cursor is not None and not is_cursor(cursor):
        return respond(MALFORMED.saying("cursor is not one that a page gave out"))
    page = await ingress.callbacks.list(caller, state, limit=limit, cursor=cursor)
    return Jobs(jobs=await show_jobs(ingress, page.heads), cursor=page.cursor)
