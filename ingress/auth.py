"""The door: who may come in, in front of every route, and what their request may carry.

Pure ASGI, so that streams pass through untouched. It leaves `caller` and `request_id` in
`scope["state"]`.
"""

import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.api_keys import PREFIX, Role
from common.config.model import Listen
from common.config.validate import is_loopback
from common.telemetry.metrics import AuthFailure, Metrics
from ingress.body_limit import BodyLimit
from ingress.caller import LOCAL, Caller
from ingress.errors import (
    EXPIRED_KEY,
    FOREIGN_ORIGIN,
    MISDIRECTED,
    TOO_LARGE,
    UNAUTHORIZED,
    UNKNOWN_KEY,
    Problem,
    respond,
)

OPEN = frozenset({"/livez", "/readyz"})  # for whoever watches over the process
KEYLESS = frozenset({"/", "/docs", "/openapi.json"})  # a browser sends no key, and nothing is told
REQUEST_ID = "x-request-id"
_HEEDED = {
    name.encode(): name
    for name in ("host", "origin", "x-api-key", "authorization", "content-length", REQUEST_ID)
}
NOBODY = Caller(name="")
_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")


FindKey = Callable[[str], Caller | Problem]
_REASONS: tuple[tuple[Problem, AuthFailure], ...] = (
    (UNAUTHORIZED, "missing"),
    (UNKNOWN_KEY, "unknown"),
    (EXPIRED_KEY, "expired"),
    (FOREIGN_ORIGIN, "origin"),
    (MISDIRECTED, "host"),
)


def _no_such_key(_: str) -> Caller | Problem:
    return UNKNOWN_KEY


class Admission:
    """The rules of DESIGN 10's floor of safety, over headers alone. Pure.

    `find` knows the keys that operators made. They say who calls and with which role; they do not
    close a router that serves its own machine without keys.
    """

    def __init__(self, listen: Listen, local_key: str = "", find: FindKey = _no_such_key) -> None:
        self._find = find
        self._local_key = local_key
        self.adopt(listen)

    def adopt(self, listen: Listen) -> None:
        """From now on these hold: the configuration was read again."""
        self._callers = [
            (_digest(each.key), Caller(name=each.caller, role=Role.ADMIN))
            for each in listen.api_keys
        ]
        self._needs_key = bool(self._callers)
        if self._local_key:
            self._callers.append((_digest(self._local_key), Caller(name=LOCAL, role=Role.ADMIN)))
        self._hosts = frozenset(host.lower() for host in listen.allowed_hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in listen.allowed_origins)

    def admit(self, headers: Mapping[str, str]) -> Caller | Problem:
        """Who asks, or why not. Header names are in small letters."""
        host = headers.get("host", "")
        if not self._serves(host):
            return MISDIRECTED
        origin = headers.get("origin")
        if origin is not None and not self._same_site(origin, host):
            return FOREIGN_ORIGIN
        presented = headers.get("x-api-key") or _bearer(headers.get("authorization", ""))
        caller = self._known(presented) if presented else None
        if caller is not None:
            return caller
        if presented.startswith(PREFIX):  # also where none is needed: a revoked key opens nothing
            return self._find(presented)
        if self._needs_key:
            return UNKNOWN_KEY if presented else UNAUTHORIZED
        return Caller(name=LOCAL, role=Role.ADMIN)

    def _serves(self, host: str) -> bool:
        name = _host_name(host)
        if self._hosts and (name in self._hosts or host.lower() in self._hosts):
            return True
        # Another machine's page cannot make a browser send a loopback name of ours.
        return not self._hosts if self._needs_key else _is_loopback(name)

    def _same_site(self, origin: str, host: str) -> bool:
        if origin.lower().rstrip("/") in self._origins:
            return True
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        if parts.scheme not in {"http", "https"}:
            return False
        return _with_port(parts.netloc, parts.scheme) == _with_port(host, parts.scheme)

    def _known(self, presented: str) -> Caller | None:
        given, found = _digest(presented), None
        for digest, caller in self._callers:
            # Every key is compared, and in constant time: the answer's timing tells nothing.
            if hmac.compare_digest(digest, given):
                found = caller
        return found


class Door:
    """Admission, the request id and the body limit, around an application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        admission: Admission,
        max_body: int,
        streamed: Mapping[tuple[str, str], int],
        metrics: Metrics,
    ) -> None:
        """`streamed`: by method and path, bodies that are never in memory as a whole."""
        self._app = app
        self._metrics = metrics
        self._admission = admission
        self._max_body = max_body
        self._streamed = streamed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {
            _HEEDED[name]: value.decode("latin-1").strip()
            for name, value in scope["headers"]
            if name in _HEEDED
        }
        request_id = _request_id(headers.get(REQUEST_ID, ""))
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        answer = _Answer(send, request_id)
        # In the context of the task that each request has of its own; it ends with that.
        structlog.contextvars.bind_contextvars(request_id=request_id)
        if scope["path"] not in OPEN:
            admitted = self._admission.admit(headers)
            if scope["path"] in KEYLESS and not _misplaced(admitted):
                admitted = NOBODY
            if isinstance(admitted, Problem):
                self._metrics.refuse(reason_of(admitted))
                await respond(admitted, request_id)(scope, receive, answer)
                return
            state["caller"] = admitted
        most = self._streamed.get((scope["method"], scope["path"]), self._max_body)
        limit = BodyLimit(receive, answer, most)
        if limit.announced_too_much(headers.get("content-length", "")):
            await respond(TOO_LARGE.saying(limit.words), request_id)(scope, receive, answer)
            return
        await limit.guard(self._app, scope)
        if limit.broken:
            await respond(TOO_LARGE.saying(limit.words), request_id)(scope, receive, answer)


class _Answer:
    """`send` that puts the request id on the response."""

    __slots__ = ("_id", "_send")

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._id = request_id.encode()

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (REQUEST_ID.encode(), self._id)]
        await self._send(message)


def reason_of(refusal: Problem) -> AuthFailure:
    return next((reason for problem, reason in _REASONS if problem is refusal), "unchecked")


def _misplaced(admitted: Caller | Problem) -> bool:
    return admitted is FOREIGN_ORIGIN or admitted is MISDIRECTED


def _request_id(given: str) -> str:
    """The caller's own, when it is fit for a log line; else a new one."""
    return given if _SANE_ID.fullmatch(given) else secrets.token_hex(8)


# Callers name the same few hosts again and again, and an address is slow to parse.
_is_loopback = lru_cache(maxsize=256)(is_loopback)


def _digest(key: str) -> bytes:
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def _bearer(authorization: str) -> str:
    kind, _, key = authorization.partition(" ")
    return key.strip() if kind.lower() == "bearer" else ""


def _host_name(host: str) -> str:
    """A Host header without its port, in small letters."""
    if host.startswith("["):
        return host.partition("]")[0].removeprefix("[").lower()
    return host.partition(":")[0].lower()


def _with_port(netloc: str, scheme: str) -> tuple[str, str]:
    """Name and port of a Host header or an origin, so that a default port may be left out."""
    name = _host_name(netloc)
    port = netloc.lower().removeprefix(f"[{name}]").removeprefix(name).removeprefix(":")
    return _plain(name), port or {"http": "80", "https": "443"}[scheme]


def _plain(name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        return name
