"""`/v1/blobs`: documents that callers keep here; the results of jobs are at `/v1/jobs`.

What a document says of itself is its owner's word. A browser is told to save it, never to show it.
"""

import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.requests import ClientDisconnect

from common.documents import MEDIA_TYPE, Visibility, is_media_type
from ingress.api.access import CurrentCaller, TheIngress
from ingress.api.document_shapes import (
    DocumentName,
    Life,
    StoredDocument,
    StoredDocuments,
    show_document,
)
from ingress.api.ranges import respond_with_file
from ingress.errors import INVALID_REQUEST, MALFORMED, respond
from ingress.errors import MEDIA_TYPE as PROBLEM_TYPE
from ingress.operations.documents import Said

_PROBLEM: dict[str, Any] = {"description": "A problem", "content": {PROBLEM_TYPE: {}}}

router = APIRouter(
    prefix="/blobs", tags=["documents"], responses=dict.fromkeys((403, 422, 503), _PROBLEM)
)


@router.put(
    "",
    status_code=201,
    response_model=StoredDocument,
    responses={200: {"model": StoredDocument}, 413: _PROBLEM},
    openapi_extra={"requestBody": {"required": True, "content": {"*/*": {}}}},
)
async def put_document(
    request: Request,
    response: Response,
    ingress: TheIngress,
    caller: CurrentCaller,
    name: DocumentName = "",
    visibility: Visibility = Visibility.OWN,
    ttl: Life = None,
) -> StoredDocument | Response:
    """Keep the body as a document of the caller's. 200 where it had the same bytes already."""
    media_type = request.headers.get("content-type", MEDIA_TYPE)
    if not is_media_type(media_type):
        return respond(INVALID_REQUEST.saying("content-type should be as text/csv"))
    said = Said(name=name, media_type=media_type, visibility=visibility, life=ttl)
    try:
        kept = await ingress.documents.put(request.stream(), said, caller)
    except ClientDisconnect:  # or too large: nothing is kept, and the door answers
        return Response(status_code=400)
    if not kept.new:
        response.status_code = 200
    response.headers["location"] = f"/v1/blobs/{kept.document.sha256}"
    return show_document(kept.document)


@router.get("", response_model=StoredDocuments, responses={400: _PROBLEM})
async def list_documents(
    ingress: TheIngress,
    caller: CurrentCaller,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: str | None = None,
) -> StoredDocuments | Response:
    """What the caller may see, the newest first. A page may be short and still have a cursor."""
    try:
        after = None if cursor is None else read_cursor(cursor)
        page = await ingress.documents.list(caller, limit=limit, cursor=after)
    except ValueError:
        return respond(MALFORMED.saying("cursor is not one that a page gave out"))
    return StoredDocuments(
        documents=[show_document(each) for each in page.documents],
        cursor=None if page.cursor is None else show_cursor(page.cursor),
    )


@router.head("/{sha256}", include_in_schema=False)
@router.get("/{sha256}", response_class=Response, responses={404: _PROBLEM})
async def get_document(
    sha256: str, request: Request, ingress: TheIngress, caller: CurrentCaller
) -> Response:
    """The content, whole or a range."""
    document, body = await ingress.documents.open(sha256, caller)
    name = document.name or sha256
    return await respond_with_file(body, name, document.media_type, request)


@router.delete("/{sha256}", status_code=204, responses={404: _PROBLEM})
async def delete_document(
    sha256: str, ingress: TheIngress, caller: CurrentCaller, owner: str | None = None
) -> None:
    """The caller's own entry; an operator may name another `owner`. Others keep theirs."""
    await ingress.documents.delete(sha256, owner or caller.name, caller)


def show_cursor(cursor: str) -> str:
    return base64.urlsafe_b64encode(cursor.encode()).decode()


def read_cursor(text: str) -> str:
    """Raises: ValueError: None of ours."""
    try:
        return base64.urlsafe_b64decode(text.encode()).decode()
    except binascii.Error as error:
        raise ValueError("no cursor") from error
