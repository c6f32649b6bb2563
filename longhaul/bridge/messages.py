"""One line of stdio: what the bridge must know of a JSON-RPC message to carry it. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types

from common.wire import dump_json, load_json

CANCELLED = "notifications/cancelled"
INITIALIZE = "initialize"
INITIALIZED = "notifications/initialized"
CALL = "tools/call"
LIST_TOOLS = "tools/list"
LISTEN = "subscriptions/listen"

RequestId = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a client wrote. `line` goes on as it came."""

    line: bytes
    method: str | None  # None: it answers a request of the server
    id: RequestId | None  # None: a notification
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def version(self) -> object:
        """What it says of itself in 2026-07-28 and later; None in the handshake era."""
        meta = self.params.get("_meta")
        return meta.get(types.PROTOCOL_VERSION_META_KEY) if isinstance(meta, Mapping) else None

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again when nobody knows what became of it."""
        return self.method not in {CALL, LISTEN}

    @property
    def cancels(self) -> RequestId | None:
        """The request that a `notifications/cancelled` names."""
        named = self.params.get("requestId")
        return named if self.method == CANCELLED and _is_id(named) else None


class BadLineError(Exception):
    """A line that is no message; its answer says so."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.answer = error_line(None, code, text)


def read_message(line: bytes) -> Message:
    """Raises: BadLineError."""
    read = _parsed(line)
    if not isinstance(read, dict):
        raise BadLineError(types.INVALID_REQUEST, "a line carries one message, which is an object")
    method, params = read.get("method"), read.get("params")
    if "method" in read and not isinstance(method, str):
        raise BadLineError(types.INVALID_REQUEST, "a method is a string")
    if "id" in read and not _is_id(read["id"]):
        raise BadLineError(types.INVALID_REQUEST, "an id is a string or a whole number")
    if method is None and "id" not in read:
        raise BadLineError(types.INVALID_REQUEST, "neither a request, a notification nor an answer")
    return Message(
        line=line,
        method=method,
        id=read.get("id"),
        params=params if isinstance(params, dict) else {},
    )


def _parsed(line: bytes) -> object:
    """Also what only some parsers take, as half of a surrogate pair: the router refuses that.

    Raises:
        BadLineError: No parser does.
    """
    try:
        return load_json(line)
    except ValueError:
        pass
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise BadLineError(types.PARSE_ERROR, "Parse error") from None


def error_line(request: RequestId | None, code: int, text: str, data: Any = None) -> bytes:
    """An answer of the bridge's own."""
    error = {"code": code, "message": text} | ({} if data is None else {"data": data})
    return dump_json({"jsonrpc": "2.0", "id": request, "error": error})


def notification_line(method: str) -> bytes:
    return dump_json({"jsonrpc": "2.0", "method": method})


def one_line(text: bytes) -> bytes:
    """JSON without line breaks; between its tokens they mean nothing, in strings there are none."""
    return text.replace(b"\r", b" ").replace(b"\n", b" ").strip()


def _is_id(value: object) -> bool:
    if isinstance(value, str):
        return value == value.encode(errors="replace").decode()  # else no answer could name it
    return isinstance(value, int) and not isinstance(value, bool)
