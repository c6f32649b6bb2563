"""`resources/*`: documents that the caller may see, and the results of its jobs, whole or in parts.

Documents are listed; results are known from their calls. MCP sends a resource as one message, so
what is read at once is in memory at once: larger ones are read in parts, or over HTTP, where they
are streamed.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from common.documents import TEMPLATE as DOCUMENT_TEMPLATE
from common.documents import Document, document_uri, read_document_link
from common.errors import NotFoundError
from common.jobs.files import TEMPLATE as FILE_TEMPLATE
from common.jobs.files import FileLink, file_path, read_file_link
from common.jobs.links import MEDIA_TYPE, TEMPLATE, read_link, result_path
from common.jobs.state import JobState
from ingress.caller import Caller
from ingress.ingress import Ingress
from ingress.mcp.declared import Context
from ingress.mcp.eras import cacheable, is_modern
from ingress.mcp.exchange import exchange_of
from ingress.operations.results import Body, body_of, file_of

LIST, TEMPLATES, READ = "resources/list", "resources/templates/list", "resources/read"
METHODS = frozenset({LIST, TEMPLATES, READ})
PAGE = 100  # documents
AT_ONCE = 4 * 1024 * 1024  # bytes of one message
PART = "longhaul/part"
NOT_FOUND = -32_002  # the protocol's own, until 2025-11-25; then it is an invalid parameter
_TAIL = 3  # bytes that a character may go on for
_TEXT = ("text/", "application/json", "application/xml", "application/yaml", "application/x-ndjson")

_RESULT_TEMPLATE = {
    "uriTemplate": TEMPLATE,
    "name": "job-result",
    "title": "Result of a job",
    "description": "What a tool gave, whole; with offset and length (bytes), a part of it.",
    "mimeType": MEDIA_TYPE,
}
_FILE_TEMPLATE = {
    "uriTemplate": FILE_TEMPLATE,
    "name": "job-file",
    "title": "File of a job",
    "description": "What a tool made, whole; with offset and length (bytes), a part of it.",
}
_DOCUMENT_TEMPLATE = {
    "uriTemplate": DOCUMENT_TEMPLATE,
    "name": "document",
    "title": "Document",
    "description": "What somebody put here, whole; with offset and length (bytes), a part of it.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What is read, and which part of it."""

    body: Body
    media_type: str
    address: str  # over HTTP
    offset: int
    length: int | None


class Resources:
    def __init__(self, ingress: Ingress) -> None:
        self._runtime = ingress.runtime
        self._read = ingress.read
        self._documents = ingress.documents

    async def __call__(self, ctx: Context) -> dict[str, Any]:
        """The wire's result.

        Raises:
            MCPError: No such resource for this caller, or too large for one message.
            StoreUnreachableError: Nobody knows.
        """
        modern, params = is_modern(ctx.protocol_version), ctx.params or {}
        caller = exchange_of(ctx).caller.over_mcp
        match ctx.method:
            case "resources/list":
                answer = await self._list(params.get("cursor"), caller)
            case "resources/templates/list":
                answer = {
                    "resourceTemplates": [_RESULT_TEMPLATE, _FILE_TEMPLATE, _DOCUMENT_TEMPLATE]
                }
            case _:
                answer = await self._answer(str(params["uri"]), caller, modern=modern)
        return cacheable(answer) if modern else answer

    async def _list(self, cursor: str | None, caller: Caller) -> dict[str, Any]:
        try:
            after = None if cursor is None else base64.urlsafe_b64decode(cursor).decode()
            page = await self._documents.list_contents(caller, limit=PAGE, cursor=after)
        except (binascii.Error, ValueError):
            raise MCPError(types.INVALID_PARAMS, "Invalid cursor") from None
        answer: dict[str, Any] = {"resources": [_listed(each) for each in page.documents]}
        if page.cursor is not None:
            answer["nextCursor"] = base64.urlsafe_b64encode(page.cursor.encode()).decode()
        return answer

    async def _answer(self, uri: str, caller: Caller, *, modern: bool) -> dict[str, Any]:
        try:
            return {"contents": [await _content(uri, await self._found(uri, caller))]}
        except NotFoundError as error:
            code = types.INVALID_PARAMS if modern else NOT_FOUND
            raise MCPError(code, str(error), {"uri": uri}) from None

    async def _found(self, uri: str, caller: Caller) -> _Found:
        if (document := read_document_link(uri)) is not None:
            entry, body = await self._documents.open(document.sha256, caller)
            return _Found(
                body=body,
                media_type=entry.media_type,
                address=f"/v1/blobs/{document.sha256}",
                offset=document.offset,
                length=document.length,
            )
        if (file := read_file_link(uri)) is not None:
            return await self._file(file, caller)
        link = read_link(uri)
        if link is None:
            raise NotFoundError(f"Resource not found: {uri}")
        head = await self._read.head(link.job, caller)
        result = await body_of(self._runtime, head) if head.state is JobState.COMPLETED else None
        if result is None:
            raise NotFoundError(f"job {head.id} is {head.state}; it has no result")
        return _Found(
            body=result,
            media_type=MEDIA_TYPE,
            address=result_path(link.job),
            offset=link.offset,
            length=link.length,
        )

    async def _file(self, link: FileLink, caller: Caller) -> _Found:
        head = await self._read.head(link.job, caller)
        file, body = await file_of(self._runtime, head, link.name)
        return _Found(
            body=body,
            media_type=file.media_type,
            address=file_path(link.job, link.name),
            offset=link.offset,
            length=link.length,
        )


def _listed(document: Document) -> dict[str, Any]:
    return {
        "uri": document_uri(document.sha256),
        "name": document.name or document.sha256,
        "mimeType": document.media_type,
        "size": document.size,
    }


async def _content(uri: str, found: _Found) -> Mapping[str, Any]:
    """Parts of a text that follow each other join without a gap: each character is where it begins.

    What is no text, whatever its owner calls it, comes as bytes.
    """
    size = found.body.size
    start = min(found.offset, size)
    end = size if found.length is None else min(start + found.length, size)
    if end - start > AT_ONCE:
        raise MCPError(
            types.INVALID_PARAMS,
            f"that is {end - start} bytes, and one message carries at most {AT_ONCE}: read parts, "
            f"{uri.partition('?')[0]}?offset=0&length={AT_ONCE}, or GET {found.address}",
            {"uri": uri, "size": size, "limit": AT_ONCE},
        )
    raw = b"".join([piece async for piece in found.body.read(start, min(end + _TAIL, size))])
    whole = (start, end) == (0, size)
    part = {"offset": start, "end": end, "size": size, "sha256": found.body.sha256}
    shown: dict[str, Any] = {"uri": uri, "_meta": {PART: part}}
    text = _text(raw, end - start) if found.media_type.startswith(_TEXT) else None
    if text is not None:
        return {**shown, "mimeType": found.media_type if whole else "text/plain", "text": text}
    mime = found.media_type if whole else "application/octet-stream"
    return {**shown, "mimeType": mime, "blob": base64.b64encode(raw[: end - start]).decode()}


def _text(raw: bytes, length: int) -> str | None:
    """None when it is no text."""
    try:
        return _characters(raw, length).decode()
    except UnicodeDecodeError:
        return None


def _characters(raw: bytes, length: int) -> bytes:
    """Those that begin in the first `length` bytes of UTF-8."""
    start, end = 0, min(length, len(raw))
    while start < end and _continues(raw[start]):
        start += 1
    while end < len(raw) and _continues(raw[end]):
        end += 1
    return raw[start:end]


def _continues(byte: int) -> bool:
    return byte & 0xC0 == 0x80
