"""`/v1/batches`: many calls of one tool as one thing, their rows streamed in and out."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.requests import ClientDisconnect

from ingress.api.access import CurrentCaller, TheIngress
from ingress.api.batch_shapes import Batch, BatchList, NewRows, Retry, show_batch
from ingress.api.json_body import JsonRoute
from ingress.api.shapes import IdempotencyKey, Priority
from ingress.batches.accept import NewBatch
from ingress.batches.door import CSV, essence, from_document, from_objects
from ingress.batches.results import Wanted
from ingress.caller import Caller
from ingress.errors import INVALID_REQUEST, MALFORMED, MEDIA_TYPE, TOO_LARGE, request_id_of, respond
from ingress.ingress import Ingress

JSONL = "application/x-ndjson"
JSON = "application/json"
_PROBLEM: dict[str, Any] = {"description": "A problem", "content": {MEDIA_TYPE: {}}}

router = APIRouter(
    prefix="/batches",
    tags=["batches"],
    responses=dict.fromkeys((404, 422, 503), _PROBLEM),
    route_class=JsonRoute,
)


@router.post(
    "",
    status_code=202,
    response_model=Batch,
    responses=dict.fromkeys((400, 409, 413, 429), _PROBLEM),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                JSONL: {"schema": {"type": "string"}},
                CSV: {"schema": {"type": "string"}},
                JSON: {"schema": NewRows.model_json_schema()},
            },
        }
    },
)
async def submit_batch(
    request: Request,
    response: Response,
    ingress: TheIngress,
    caller: CurrentCaller,
    tool: Annotated[str | None, Query(description="of rows as JSONL or CSV")] = None,
    in_flight: Annotated[int | None, Query(ge=1)] = None,
    priority: Priority | None = None,
    callback: Annotated[str, Query(description="a URL that is told of its end")] = "",
    idempotency_key: IdempotencyKey = None,
) -> Batch | Response:
    """Each row is one call; it is durable when this answers."""
    new = NewBatch(
        tool=tool or "",
        caller=caller.name,
        request_id=request_id_of(request),
        in_flight=in_flight,
        priority=priority,
        key=idempotency_key or "",
        callback=callback,
    )
    try:
        took = await _take(request, ingress, caller, new)
    except ClientDisconnect:  # or too large: nothing is kept, and the door answers
        return Response(status_code=400)
    if isinstance(took, Response):
        return took
    response.headers["location"] = f"/v1/batches/{took.id}"
    return took


async def _take(
    request: Request, ingress: Ingress, caller: Caller, new: NewBatch
) -> Batch | Response:
    kind = essence(request.headers.get("content-type", JSONL))
    if kind == JSON:
        return await _take_json(request, ingress, caller, new)
    if kind not in {JSONL, "application/jsonl", "application/octet-stream", CSV}:
        return respond(MALFORMED.saying(f"the rows should be {JSONL}, {CSV} or {JSON}"))
    if not new.tool:
        return respond(INVALID_REQUEST.saying("say which tool: /v1/batches?tool=NAME"))
    schema = ingress.submit.tool(new.tool).input_schema
    return await _accept(ingress, new, from_document(request.stream(), kind, schema))


async def _take_json(
    request: Request, ingress: Ingress, caller: Caller, new: NewBatch
) -> Batch | Response:
    most = ingress.runtime.settings.listen.max_body
    raw = b""
    async for piece in request.stream():
        raw += piece
        if len(raw) > most:
            return respond(TOO_LARGE.saying(f"rows in JSON may have {most} bytes; send {JSONL}"))
    try:
        body = NewRows.model_validate_json(raw)
    except ValidationError as error:
        places = [".".join(map(str, each["loc"])) + ": " + each["msg"] for each in error.errors()]
        return respond(INVALID_REQUEST.saying("; ".join(places)))
    asked = NewBatch(
        tool=body.tool,
        caller=new.caller,
        request_id=new.request_id,
        in_flight=body.in_flight or new.in_flight,
        priority=new.priority if body.priority is None else body.priority,
        key=new.key,
        callback=new.callback if body.callback is None else body.callback.url,
    )
    if body.rows is not None:
        return await _accept(ingress, asked, from_objects(body.rows))
    document, content = await ingress.documents.open(body.blob or "", caller)
    pieces, schema = content.read(0, content.size), ingress.submit.tool(body.tool).input_schema
    return await _accept(ingress, asked, from_document(pieces, document.media_type, schema))


async def _accept(ingress: Ingress, new: NewBatch, rows: AsyncIterator[bytes]) -> Batch:
    head, _ = await ingress.batches.accept(new, rows)
    return show_batch(await ingress.batches.standing(head))


@router.get("", response_model=BatchList, responses={400: _PROBLEM})
async def list_batches(
    ingress: TheIngress,
    caller: CurrentCaller,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: str | None = None,
) -> BatchList | Response:
    """The caller's, the newest first; an operator sees everybody's."""
    try:
        page = await ingress.batches.list(caller, limit=limit, cursor=cursor)
    except ValueError:
        return respond(MALFORMED.saying("cursor is not one that a page gave out"))
    return BatchList(batches=[show_batch(each) for each in page.batches], cursor=page.cursor)


@router.get("/{batch_id}")
async def get_batch(batch_id: str, ingress: TheIngress, caller: CurrentCaller) -> Batch:
    """How it stands now."""
    return show_batch(await ingress.batches.look(batch_id, caller))


@router.get(
    "/{batch_id}/results",
    response_class=StreamingResponse,
    responses={200: {"content": {JSONL: {}}}},
)
async def get_results(
    batch_id: str,
    ingress: TheIngress,
    caller: CurrentCaller,
    after: Annotated[int, Query(ge=0, description="the `row` (or `at`) that was had last")] = 0,
    order: Literal["input", "ended"] = "input",
    *,
    follow: Annotated[bool, Query(description="go on until the batch has ended")] = False,
    limit: Annotated[int | None, Query(ge=1)] = None,
) -> StreamingResponse:
    """A line of JSON for each row that has ended; in order, up to the first that has not."""
    wanted = Wanted(after=after, limit=limit, in_order=order == "input", follow=follow)
    lines = await ingress.batches.results(batch_id, caller, wanted, ingress.stopping)
    return StreamingResponse(lines, media_type=JSONL)


@router.delete("/{batch_id}", status_code=202, responses={200: {"model": Batch}})
async def cancel_batch(
    batch_id: str, response: Response, ingress: TheIngress, caller: CurrentCaller
) -> Batch:
    """Nothing more of it begins, and what is open is cancelled. 200 if it had ended already."""
    if not await ingress.batches.cancel(batch_id, caller):
        response.status_code = 200
    return show_batch(await ingress.batches.look(batch_id, caller))


@router.post("/{batch_id}/retry", status_code=202)
async def retry_batch(
    batch_id: str, ingress: TheIngress, caller: CurrentCaller, body: Retry | None = None
) -> Batch:
    """What failed runs again, and only that; the newest results of its rows count."""
    await ingress.batches.retry(batch_id, caller, lost=body is not None and body.lost)
    return show_batch(await ingress.batches.look(batch_id, caller))
