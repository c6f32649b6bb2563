"""`/v1/jobs`: submit, look, wait, answer, cancel."""

from dataclasses import replace
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query, Request, Response

from common.documents import is_media_type
from common.errors import NotFoundError, RefusedError
from common.jobs.files import ANY_MEDIA_TYPE
from common.jobs.held import RunAt
from common.jobs.links import MEDIA_TYPE as MEDIA_TYPE_OF_RESULTS
from common.jobs.state import JobState
from ingress.api.access import CurrentCaller, TheIngress
from ingress.api.event_stream import EVENT_STREAM, number_of, stream_of
from ingress.api.job_filter import JobFilter
from ingress.api.job_view import show_event, show_job, show_jobs
from ingress.api.json_body import JsonRoute
from ingress.api.patience import head_at_end
from ingress.api.ranges import respond_with, respond_with_file
from ingress.api.shapes import (
    Answers,
    IdempotencyKey,
    Job,
    JobEvents,
    Jobs,
    NewJob,
    Wait,
)
from ingress.errors import (
    MALFORMED,
    MEDIA_TYPE,
    NO_RESULT,
    NOT_FINISHED,
    request_id_of,
    respond,
)
from ingress.operations.call_request import CallRequest
from ingress.operations.read import is_cursor
from ingress.operations.results import body_of, file_of
from ingress.operations.schedule import read_schedule

_PROBLEM: dict[str, Any] = {"description": "A problem", "content": {MEDIA_TYPE: {}}}

router = APIRouter(
    prefix="/jobs",
    tags=["jobs"],
    responses=dict.fromkeys((404, 422, 503), _PROBLEM),
    route_class=JsonRoute,
)


@router.post("", status_code=202, responses={200: {"model": Job}, 409: _PROBLEM, 429: _PROBLEM})
async def submit_job(
    body: NewJob,
    request: Request,
    response: Response,
    ingress: TheIngress,
    caller: CurrentCaller,
    idempotency_key: IdempotencyKey = None,
) -> Job:
    """Accept a call as a job; it is durable when this answers. 200 if it has ended already."""
    accepted = await ingress.submit.accept(
        CallRequest(
            tool=body.tool,
            arguments=body.arguments,
            caller=caller.name,
            request_id=request_id_of(request),
            priority=body.priority,
            client_capabilities=body.capabilities,
            key=idempotency_key or "",
            callback="" if body.callback is None else body.callback.url,
            preview=body.preview,
            run_at=_schedule(body, ingress.runtime.clock.now()),
        )
    )
    head = await head_at_end(ingress, request, accepted.job, caller, body.wait)
    response.headers["location"] = f"/v1/jobs/{head.id}"
    if head.terminal:
        response.status_code = 200
    return await show_job(ingress, head)


def _schedule(body: NewJob, now: float) -> RunAt | None:
    try:
        return read_schedule({"run_at": body.run_at, "delay": body.delay}, now)
    except ValueError as error:
        raise RefusedError(str(error)) from error


@router.get("", response_model=Jobs)
async def list_jobs(
    asked: Annotated[JobFilter, Query()], ingress: TheIngress, caller: CurrentCaller
) -> Jobs | Response:
    """The newest first, without results. A page may be short, or empty, and still have a cursor."""
    if asked.cursor is not None and not is_cursor(asked.cursor):
        return respond(MALFORMED.saying("cursor is not one that a page gave out"))
    wanted = asked.wanted(ingress.runtime.clock.now())
    page = await ingress.read.list(caller, wanted, limit=asked.limit, cursor=asked.cursor)
    return Jobs(jobs=await show_jobs(ingress, page.heads), cursor=page.cursor)


@router.get("/{job_id}")
async def get_job(
    job_id: str, request: Request, ingress: TheIngress, caller: CurrentCaller, wait: Wait = 0
) -> Job:
    """One job, at its end or after `wait` seconds, whichever is first."""
    head = await head_at_end(ingress, request, job_id, caller, wait)
    return await show_job(ingress, head)


@router.post("/{job_id}/answer")
async def answer_job(job_id: str, body: Answers, ingress: TheIngress, caller: CurrentCaller) -> Job:
    """Answer what the tool asks; the job goes on once nothing is open any more."""
    head = await ingress.respond.answer(job_id, body.answers, caller, operator=True)
    return await show_job(ingress, head)


@router.post("/{job_id}/callback/replay", status_code=202, responses={409: _PROBLEM})
async def replay_callback(job_id: str, ingress: TheIngress, caller: CurrentCaller) -> Job:
    """Send its callback again, with all its tries and the same `webhook-id`."""
    return await show_job(ingress, await ingress.callbacks.replay(job_id, caller))


@router.delete("/{job_id}", status_code=202, responses={200: {"model": Job}})
async def cancel_job(
    job_id: str, response: Response, ingress: TheIngress, caller: CurrentCaller
) -> Job:
    """Cancelled at once for everybody who looks. 200, and no change, if it had ended already."""
    head = await ingress.read.head(job_id, caller)
    if not await ingress.cancel.cancel(head.id, f"cancelled by {caller.name}"):
        response.status_code = 200
    return await show_job(ingress, await ingress.read.head(job_id, caller))


@router.head("/{job_id}/result", include_in_schema=False)
@router.get("/{job_id}/result", response_class=Response, responses={409: _PROBLEM})
async def get_result(
    job_id: str, request: Request, ingress: TheIngress, caller: CurrentCaller
) -> Response:
    """The tool's result, byte for byte, or a range; a problem with the job's state for none."""
    head = await ingress.read.head(job_id, caller)
    request_id = request_id_of(request)
    more: dict[str, Any] = {"job": head.id, "state": head.state}
    if not head.terminal:
        return respond(replace(NOT_FINISHED, detail=f"it is {head.state}", more=more), request_id)
    if head.state is JobState.COMPLETED:
        body = await body_of(ingress.runtime, head)
        if body is None:
            raise NotFoundError(f"no job {job_id}")  # removed in this very moment
        return await respond_with(body, MEDIA_TYPE_OF_RESULTS, request)
    raw = await ingress.read.result(head)
    more["error"] = None if raw is None else orjson.loads(raw)
    return respond(replace(NO_RESULT, detail=head.reason, more=more), request_id)


@router.head("/{job_id}/files/{name}", include_in_schema=False)
@router.get("/{job_id}/files/{name}", response_class=Response)
async def get_file(
    job_id: str, name: str, request: Request, ingress: TheIngress, caller: CurrentCaller
) -> Response:
    """A file that its tool handed over, whole or a range."""
    head = await ingress.read.head(job_id, caller)
    file, body = await file_of(ingress.runtime, head, name)
    media_type = file.media_type if is_media_type(file.media_type) else ANY_MEDIA_TYPE
    return await respond_with_file(body, name, media_type, request)


@router.get(
    "/{job_id}/events",
    response_model=JobEvents,
    responses={200: {"content": {EVENT_STREAM: {}}}},
)
async def get_events(
    job_id: str,
    request: Request,
    ingress: TheIngress,
    caller: CurrentCaller,
    last_event_id: Annotated[str | None, Header()] = None,
    logs: Annotated[bool, Query(description="with the tool's log lines; streams only")] = False,
) -> JobEvents | Response:
    """What happened to it so far; as `text/event-stream` what happens to it, too, to its end."""
    head = await ingress.read.head(job_id, caller)
    if EVENT_STREAM not in request.headers.get("accept", ""):
        events = await ingress.read.events(head)
        return JobEvents(events=[show_event(each) for each in events])
    after = number_of(last_event_id)
    if after is None:
        return respond(MALFORMED.saying("Last-Event-ID is not one that a stream gave out"))
    return stream_of(ingress, head.id, caller, request_id_of(request), after=after, logs=logs)
