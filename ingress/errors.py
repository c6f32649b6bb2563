"""Errors over HTTP: one table from what went wrong to problem+json with a stable `type`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.errors import (
    CallbackRefusedError,
    ForbiddenError,
    InvalidAnswerError,
    InvalidCallError,
    InvalidRowsError,
    KeyConflictError,
    LonghaulError,
    MayHaveRunError,
    NoCallbackError,
    NotFoundError,
    NotReplayableError,
    RefusedError,
    StillServedError,
    StoreUnreachableError,
)
from common.ledger import ContendedError

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
STORE_RETRY_AFTER = 5  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """RFC 9457. `name` makes the type, and never changes once it was released."""

    name: str
    status: int
    title: str
    detail: str = ""
    retry_after: float | None = None  # seconds
    more: Mapping[str, Any] | None = None  # members of this type alone
    headers: Mapping[str, str] | None = None

    @property
    def type(self) -> str:
        return f"urn:longhaul:error:{self.name}"

    def saying(self, detail: str, retry_after: float | None = None) -> "Problem":
        return replace(self, detail=detail, retry_after=retry_after or self.retry_after)


UNAUTHORIZED = Problem(
    name="unauthorized",
    status=401,
    title="An API key is needed",
    detail="Send a key as `Authorization: Bearer KEY` or `X-API-Key: KEY`.",
    headers={"www-authenticate": "Bearer"},
)
UNKNOWN_KEY = replace(
    UNAUTHORIZED,
    title="The API key is not known",
    detail="Nobody has this key here, or it was revoked.",
)
EXPIRED_KEY = replace(
    UNAUTHORIZED, title="The API key has expired", detail="Ask an administrator for another."
)
FORBIDDEN = Problem(name="forbidden", status=403, title="The role of this key does not allow it")
FOREIGN_ORIGIN = Problem(
    name="foreign-origin",
    status=403,
    title="This Origin may not call Longhaul",
    detail="A web page of another host sent this; LONGHAUL_ALLOWED_ORIGINS lists who may.",
)
MISDIRECTED = Problem(
    name="misdirected",
    status=421,
    title="This Host is not served here",
    detail="Without an API key only loopback names are; see LONGHAUL_ALLOWED_HOSTS.",
)
TOO_LARGE = Problem(name="too-large", status=413, title="The request body is too large")
NOT_FOUND = Problem(name="not-found", status=404, title="No such thing")
WRONG_METHOD = Problem(name="wrong-method", status=405, title="This method is not served here")
MALFORMED = Problem(name="malformed", status=400, title="The request could not be read")
INVALID_REQUEST = Problem(
    name="invalid-request", status=422, title="The request does not fit this address"
)
INVALID_ARGUMENTS = Problem(
    name="invalid-arguments", status=422, title="The arguments do not fit the tool"
)
INVALID_ROWS = Problem(name="invalid-rows", status=422, title="The rows cannot be read")
INVALID_ANSWER = Problem(
    name="invalid-answer", status=422, title="The answer does not fit the question"
)
CALLBACK_REFUSED = Problem(
    name="callback-refused", status=422, title="The callback's URL may not be asked"
)
NO_CALLBACK = Problem(
    name="no-callback", status=409, title="The job has no callback that could be sent again"
)
KEY_CONFLICT = Problem(
    name="idempotency-conflict", status=409, title="The idempotency key is another call's"
)
KEY_TAKEN = Problem(name="key-taken", status=409, title="There is a key of that name")
MAY_HAVE_RUN = Problem(
    name="may-have-run", status=409, title="A lost job is replayed only with `lost: true`"
)
NOT_REPLAYABLE = Problem(
    name="not-replayable", status=409, title="This dead letter can only be dropped"
)
STILL_SERVED = Problem(name="still-served", status=409, title="A worker runs this backend")
NOT_FINISHED = Problem(name="not-finished", status=409, title="The job has not ended")
NO_RESULT = Problem(name="no-result", status=409, title="The job ended without a result")
REFUSED = Problem(name="refused", status=422, title="The call was not accepted")
FULL = Problem(name="full", status=429, title="The queue is full")
STORE_UNREACHABLE = Problem(
    name="store-unreachable",
    status=503,
    title="The store does not answer",
    retry_after=STORE_RETRY_AFTER,
)
STOPPING = Problem(
    name="stopping",
    status=503,
    title="This process was asked to stop",
    detail="It takes nothing new; another one, or its successor, does.",
    retry_after=1,
    # Not on this connection: it ends with the process. The last is for bridges.
    headers={"connection": "close", "longhaul-stopping": "1"},
)
CONTENDED = Problem(
    name="contended", status=503, title="The job kept changing; ask again", retry_after=1
)
INTERNAL = Problem(
    name="internal",
    status=500,
    title="Longhaul failed",
    detail="This is a fault of Longhaul's own; its log has it under the request id.",
)
PROBLEMS = (
    STILL_SERVED,
    *(UNAUTHORIZED, FORBIDDEN, FOREIGN_ORIGIN, MISDIRECTED, TOO_LARGE, NOT_FOUND, WRONG_METHOD),
    *(MALFORMED, INVALID_REQUEST, INVALID_ARGUMENTS, INVALID_ANSWER, KEY_CONFLICT, KEY_TAKEN),
    *(NOT_FINISHED, NO_RESULT, MAY_HAVE_RUN, NOT_REPLAYABLE, REFUSED, FULL, STORE_UNREACHABLE),
    *(INVALID_ROWS, CALLBACK_REFUSED, NO_CALLBACK, STOPPING, CONTENDED, INTERNAL),
)


_IN_ITS_WORDS: dict[type[LonghaulError], Problem] = {
    NotFoundError: NOT_FOUND,
    InvalidAnswerError: INVALID_ANSWER,
    InvalidCallError: INVALID_ARGUMENTS,
    InvalidRowsError: INVALID_ROWS,
    CallbackRefusedError: CALLBACK_REFUSED,
    NoCallbackError: NO_CALLBACK,
    KeyConflictError: KEY_CONFLICT,
    MayHaveRunError: MAY_HAVE_RUN,
    NotReplayableError: NOT_REPLAYABLE,
    StillServedError: STILL_SERVED,
}


def problem_of(error: LonghaulError) -> Problem:
    """What a caller is told about an error; never more than its own words."""
    text = str(error)
    problem = _IN_ITS_WORDS.get(type(error))
    if problem is not None:
        return problem.saying(text)
    match error:
        case ForbiddenError():
            more = {"needs": error.needs, "role": error.has}
            return replace(FORBIDDEN, detail=text, more=more)
        case RefusedError(retry_after=None):
            return REFUSED.saying(text)
        case RefusedError(retry_after=seconds):
            return FULL.saying(text, seconds)
        case StoreUnreachableError():
            return STORE_UNREACHABLE.saying("nobody can tell now; try again soon")
        case ContendedError():
            return CONTENDED
        case _:
            return INTERNAL


def body_of(problem: Problem, request_id: str = "") -> dict[str, Any]:
    body: dict[str, Any] = {
        "type": problem.type,
        "title": problem.title,
        "status": problem.status,
    }
    if problem.detail:
        body["detail"] = problem.detail
    if request_id:
        body["request_id"] = request_id
    return body | dict(problem.more or {})


def respond(problem: Problem, request_id: str = "") -> Response:
    headers = dict(problem.headers or {})
    if problem.retry_after is not None:
        headers["retry-after"] = str(max(1, round(problem.retry_after)))
    return Response(
        orjson.dumps(body_of(problem, request_id)),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers=headers,
    )


def handle_errors(app: FastAPI) -> None:
    """Here and in `answering_errors` an exception becomes an HTTP answer, nowhere else."""
    app.add_exception_handler(LonghaulError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)


def answering_errors(app: ASGIApp) -> ASGIApp:
    """The same for an application that is served without FastAPI."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        answering = False

        async def noting(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        try:
            await app(scope, receive, noting)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the boundary; _unforeseen logs it
            request = Request(scope)
            ours = isinstance(error, LonghaulError | ContendedError)
            answer = _ours(request, error) if ours else _unforeseen(request, error)
            if not answering:
                await answer(scope, receive, send)

    return guarded


def request_id_of(request: Request) -> str:
    return str(request.scope.get("state", {}).get("request_id", ""))


def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, LonghaulError)  # noqa: S101 - registered for these
    return respond(problem_of(error), request_id_of(request))


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this
    details = error.errors()
    if any(each["type"] == "json_invalid" for each in details):
        return respond(MALFORMED.saying("the body is not JSON"), request_id_of(request))
    if any(each["loc"] == ("body",) for each in details) and not _says_json(request):
        words = "send the body with the header Content-Type: application/json"
        return respond(MALFORMED.saying(words), request_id_of(request))
    problem = replace(INVALID_REQUEST, detail=_places(details), more={"errors": _listed(details)})
    return respond(problem, request_id_of(request))


def _says_json(request: Request) -> bool:
    return "json" in request.headers.get("content-type", "")


def _listed(details: Sequence[Any]) -> list[dict[str, str]]:
    """Where and why, without what was sent: that may be a secret."""
    return [
        {"at": ".".join(str(step) for step in each["loc"]), "message": str(each["msg"])}
        for each in details
    ]


def _places(details: Sequence[Any]) -> str:
    return "; ".join(f"{each['at']}: {each['message']}" for each in _listed(details))


_BY_STATUS = {400: MALFORMED, 404: NOT_FOUND, 405: WRONG_METHOD, 413: TOO_LARGE}


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this
    known = _BY_STATUS.get(error.status_code)
    if known is None:
        title = str(error.detail) or "The request failed"
        known = Problem(name=f"http-{error.status_code}", status=error.status_code, title=title)
    return respond(replace(known, headers=error.headers), request_id_of(request))


def _unforeseen(request: Request, error: Exception) -> Response:
    log.error("request.failed", path=request.url.path, exc_info=error)
    return respond(INTERNAL, request_id_of(request))
