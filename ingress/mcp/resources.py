"""`resources/*`: the results of a caller's jobs, whole or in parts. Nothing is listed by name.

MCP sends a resource as one message, so what is read at once is in memory at once: larger ones are
read in parts, or over HTTP, where they are streamed.
"""

from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from common.errors import NotFoundError
from common.jobs.links import MEDIA_TYPE, TEMPLATE, ResultLink, read_link
from common.jobs.state import JobState
from ingress.caller import Caller
from ingress.ingress import Ingress
from ingress.mcp.declared import Context
from ingress.mcp.eras import cacheable, is_modern
from ingress.mcp.exchange import exchange_of
from ingress.operations.results import Body, body_of

LIST, TEMPLATES, READ = "resources/list", "resources/templates/list", "resources/read"
METHODS = frozenset({LIST, TEMPLATES, READ})
AT_ONCE = 4 * 1024 * 1024  # bytes of one message
PART = "longhaul/part"
NOT_FOUND = -32_002  # the protocol's own, until 2025-11-25; then it is an invalid parameter
_TAIL = 3  # bytes that a character may go on for

_RESULT_TEMPLATE = {
    "uriTemplate": TEMPLATE,
    "name": "job-result",
    "title": "Result of a job",
    "description": "What a tool gave, whole; with offset and length (bytes), a part of it.",
    "mimeType": MEDIA_TYPE,
}


class Resources:
    def __init__(self, ingress: Ingress) -> None:
        self._runtime = ingress.runtime
        self._read = ingress.read

    async def __call__(self, ctx: Context) -> dict[str, Any]:
        """The wire's result.

        Raises:
            MCPError: No such resource for this caller, or too large for one message.
            StoreUnreachableError: Nobody knows.
        """
        modern = is_modern(ctx.protocol_version)
        match ctx.method:
            case "resources/list":
                answer: dict[str, Any] = {"resources": []}
            case "resources/templates/list":
                answer = {"resourceTemplates": [_RESULT_TEMPLATE]}
            case _:
                uri = str((ctx.params or {})["uri"])
                answer = await self._answer(uri, exchange_of(ctx).caller.over_mcp, modern=modern)
        return cacheable(answer) if modern else answer

    async def _answer(self, uri: str, caller: Caller, *, modern: bool) -> dict[str, Any]:
        try:
            link, body = await self._found(uri, caller)
            return {"contents": [await _content(uri, link, body)]}
        except NotFoundError as error:
            code = types.INVALID_PARAMS if modern else NOT_FOUND
            raise MCPError(code, str(error), {"uri": uri}) from None

    async def _found(self, uri: str, caller: Caller) -> tuple[ResultLink, Body]:
        link = read_link(uri)
        if link is None:
            raise NotFoundError(f"Resource not found: {uri}")
        head = await self._read.head(link.job, caller)
        body = await body_of(self._runtime, head) if head.state is JobState.COMPLETED else None
        if body is None:
            raise NotFoundError(f"job {head.id} is {head.state}; it has no result")
        return link, body


async def _content(uri: str, link: ResultLink, body: Body) -> Mapping[str, Any]:
    """Parts that follow each other join without a gap: each character is where it begins."""
    start = min(link.offset, body.size)
    end = body.size if link.length is None else min(start + link.length, body.size)
    if end - start > AT_ONCE:
        raise MCPError(
            types.INVALID_PARAMS,
            f"that is {end - start} bytes, and one message carries at most {AT_ONCE}: read parts, "
            f"{uri.partition('?')[0]}?offset=0&length={AT_ONCE}, or GET /v1/jobs/{link.job}/result",
            {"uri": uri, "size": body.size, "limit": AT_ONCE},
        )
    raw = b"".join([piece async for piece in body.read(start, min(end + _TAIL, body.size))])
    whole = (start, end) == (0, body.size)
    return {
        "uri": uri,
        "mimeType": MEDIA_TYPE if whole else "text/plain",
        "text": _characters(raw, end - start).decode(errors="replace"),
        "_meta": {PART: {"offset": start, "end": end, "size": body.size, "sha256": body.sha256}},
    }


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
