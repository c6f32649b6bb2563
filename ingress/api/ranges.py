"""A body over HTTP, whole or the one range that was asked for (RFC 9110, section 14)."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from ingress.operations.results import Body

_SANDBOX = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'",
    "cache-control": "private, no-cache",
}
_RANGE = re.compile(r"bytes=(?P<first>[0-9]{0,15})-(?P<last>[0-9]{0,15})", re.ASCII)


async def respond_with(body: Body, media_type: str, request: Request) -> Response:
    """In pieces as they are read. What is no single range of bytes is passed over, as it may be.

    The answer to a HEAD says the same, and nothing is read.

    Raises:
        NotFoundError, BlobsUnreachableError: Nothing was sent yet.
    """
    asked = request.headers
    tag = f'"{body.sha256}"'
    headers = {"accept-ranges": "bytes", "etag": tag}
    if tag in asked.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    start, end, status = 0, body.size, 200
    wanted = asked.get("range") if request.method == "GET" else None  # of a HEAD it means nothing
    if wanted and asked.get("if-range", tag) == tag:
        span = span_of(wanted, body.size)
        if span is not None:
            start, end = span
            if start >= end:
                headers["content-range"] = f"bytes */{body.size}"
                return Response(status_code=416, headers=headers)
            status = 206
            headers["content-range"] = f"bytes {start}-{end - 1}/{body.size}"
    headers["content-length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, media_type=media_type, headers=headers)
    pieces = body.read(start, end)
    first = await anext(pieces, b"")  # what is wrong with it shows here, before the headers
    return StreamingResponse(
        _chained(first, pieces), status_code=status, media_type=media_type, headers=headers
    )


async def respond_with_file(body: Body, name: str, media_type: str, request: Request) -> Response:
    """As `respond_with`, for what others made: a browser is told to save it, never to show it.

    Raises:
        NotFoundError, BlobsUnreachableError: Nothing was sent yet.
    """
    response = await respond_with(body, media_type, request)
    # No charset is added: the header says what its maker said.
    response.headers["content-type"] = media_type
    response.headers["content-disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    response.headers.update(_SANDBOX)
    return response


def span_of(wanted: str, size: int) -> tuple[int, int] | None:
    """From, and up to and without; an empty one cannot be satisfied. None: no single range."""
    found = _RANGE.fullmatch(wanted.strip())
    if found is None or not (found["first"] or found["last"]):
        return None
    if not found["first"]:
        return max(0, size - int(found["last"])), size
    first = int(found["first"])
    last = int(found["last"]) if found["last"] else size - 1
    return None if last < first and found["last"] else (first, min(last + 1, size))


async def _chained(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece
