"""`/v1/jobs/{id}/output`: what its tool says while it runs, by pages or as a stream."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.sse import format_sse_event

from ingress.api.access import CurrentCaller, TheIngress
from ingress.api.event_stream import EVENT_STREAM, number_of, server_sent
from ingress.api.job_view import show_job
from ingress.api.output_shapes import JobOutput, show_entry, show_output
from ingress.errors import MALFORMED, MEDIA_TYPE, request_id_of, respond
from ingress.ingress import Ingress
from ingress.operations.output import PAGE, Said

_PROBLEM: dict[str, Any] = {"description": "A problem", "content": {MEDIA_TYPE: {}}}

router = APIRouter(
    prefix="/jobs", tags=["jobs"], responses=dict.fromkeys((404, 422, 503), _PROBLEM)
)


@router.get(
    "/{job_id}/output",
    response_model=JobOutput,
    responses={200: {"content": {EVENT_STREAM: {}}}},
)
async def get_output(
    job_id: str,
    request: Request,
    ingress: TheIngress,
    caller: CurrentCaller,
    cursor: Annotated[
        str, Query(alias="from", description="the cursor of an earlier answer; 0: the beginning")
    ] = "0",
    limit: Annotated[int, Query(ge=1, le=PAGE, description="entries; not of streams")] = PAGE,
    last_event_id: Annotated[str | None, Header()] = None,
) -> JobOutput | Response:
    """What it said so far; as `text/event-stream` what it says from now on, too, to its end."""
    number = number_of(last_event_id or cursor)
    if number is None:
        return respond(MALFORMED.saying("from (or Last-Event-ID) is not one that was given out"))
    if EVENT_STREAM not in request.headers.get("accept", ""):
        return show_output(await ingress.output.after(job_id, caller, number, limit))
    head = await ingress.read.head(job_id, caller)
    told = _told(ingress, ingress.output.live(head.id, caller, number))
    return server_sent(ingress, told, request_id_of(request))


async def _told(
    ingress: Ingress, news: AsyncGenerator[Said, None]
) -> AsyncGenerator[Iterator[bytes], None]:
    async with aclosing(news):
        async for said in news:
            yield _events(said)
            if said.ended:
                job = await show_job(ingress, said.head)
                yield iter([format_sse_event(event="end", data_str=job.model_dump_json())])


def _events(said: Said) -> Iterator[bytes]:
    if said.dropped:
        yield format_sse_event(event="dropped", data_str=f'{{"dropped":{said.dropped}}}')
    for entry in said.entries:
        data = show_entry(entry).model_dump_json()
        yield format_sse_event(event="output", data_str=data, id=str(entry.number))
