"""Reading HTTP answers: bodies, event streams, and what a refusal proves about the request."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from mcp_types import INTERNAL_ERROR, PARSE_ERROR

from common.retry_after import retry_after
from workers.backends import jsonrpc
from workers.backends.base import (
    BackendError,
    ConnectionLost,
    NotStarted,
    Overloaded,
    ProtocolFailure,
)
from workers.backends.exchange import Answer
from workers.backends.sse import Event, EventParser, TooLong

RESUME_DELAY = 1.0  # seconds, where the server asked for nothing else
TOO_MANY, UNAVAILABLE = 429, 503


class Cursor:
    """Where a stream was left."""

    def __init__(self) -> None:
        self.last_id: str | None = None
        self.retry = RESUME_DELAY

    def saw(self, event: Event) -> None:
        self.last_id = event.last_id or self.last_id
        self.retry = event.retry if event.retry is not None else self.retry


async def refusal(answer: Answer, *, had_session: bool) -> BackendError:
    """What a status other than 2xx means for the request."""
    body = await whole(answer)
    error = _error_in(body)
    text = str(error.get("message", "")) if error is not None else ""
    if had_session and (
        answer.status == 404 or (answer.status == 400 and "session" in text.lower())
    ):
        # Servers that keep sessions by hand say 400 where the protocol says 404.
        return NotStarted("the backend has forgotten the session")
    after = retry_after(answer.header("retry-after"), answer.header("date"))
    if answer.status == TOO_MANY:
        words = text or "too many requests"
        return Overloaded(f"the backend refused: HTTP 429, {words}", retry_after=after)
    if error is not None:
        failed = jsonrpc.failure(error)
        failed.retry_after = after if answer.status == UNAVAILABLE else failed.retry_after
        return failed
    if answer.status >= 500:
        # A gateway says 502 to 504 also when the request had already reached the server.
        hint = after if answer.status == UNAVAILABLE else None
        return ConnectionLost(f"no answer, but HTTP {answer.status}", retry_after=hint)
    return ProtocolFailure(INTERNAL_ERROR, f"the backend refused: HTTP {answer.status}")


def _error_in(body: bytes) -> dict[str, Any] | None:
    with suppress(ValueError):
        for message in jsonrpc.decode(body):
            error = message.get("error")
            if isinstance(error, dict):
                return error
    return None


def only_response(body: bytes) -> jsonrpc.Message:
    with suppress(ValueError):
        for message in jsonrpc.decode(body):
            if "method" not in message:
                return message
    raise ProtocolFailure(PARSE_ERROR, "the backend's answer is no JSON-RPC response")


async def whole(answer: Answer) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for chunk in answer.chunks():
        size += len(chunk)
        if size > jsonrpc.MAX_MESSAGE:
            raise _too_long()
        pieces.append(chunk)
    return b"".join(pieces)


async def events(answer: Answer) -> AsyncIterator[Event]:
    parser = EventParser()
    try:
        async for chunk in answer.chunks():
            for event in parser.feed(chunk):
                yield event
    except TooLong:
        raise _too_long() from None


def messages(event: Event) -> list[jsonrpc.Message]:
    if event.name not in {"", "message"} or not event.data:
        return []
    with suppress(ValueError):
        return jsonrpc.decode(event.data)
    return []


def _too_long() -> ProtocolFailure:
    return ProtocolFailure(
        INTERNAL_ERROR, f"the backend's answer is larger than {jsonrpc.MAX_MESSAGE} bytes"
    )
