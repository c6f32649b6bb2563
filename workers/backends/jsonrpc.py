"""JSON-RPC messages as bytes and back. Results are plain JSON, never models: they pass verbatim."""

import json
import math
from collections.abc import Mapping
from typing import Any

import orjson
from mcp_types import INTERNAL_ERROR, METHOD_NOT_FOUND

from common.wire import load_json
from workers.backends.base import ProtocolFailure

Message = dict[str, Any]
LONGEST_HINT_MS = 1e12  # more is no time
MAX_MESSAGE = 64 * 1024 * 1024  # bytes; one backend must not eat the worker's memory


def encode(message: Message) -> bytes:
    try:
        return orjson.dumps(message)
    except TypeError:
        # orjson refuses integers above 64 bits, JSON does not.
        return json.dumps(message, separators=(",", ":")).encode()


def decode(data: bytes) -> list[Message]:
    """The messages in one line, event or body; a 2025-03-26 server may send several as a batch.

    Raises:
        ValueError: Not JSON. What is JSON but no message is left out.
    """
    try:
        found = load_json(data)
    except orjson.JSONDecodeError:
        found = _leniently(data)
    return [item for item in (found if isinstance(found, list) else [found]) if _is_message(item)]


def _leniently(data: bytes) -> Any:
    """What orjson refuses and servers send all the same: NaN, lone surrogates, broken UTF-8."""
    try:
        return _clean(json.loads(data.decode("utf-8", "replace")))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _clean(value: Any) -> Any:
    """The value in a form that can be written again."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {_clean(key): _clean(item) for key, item in value.items()}
        case list():
            return [_clean(item) for item in value]
        case float() if not math.isfinite(value):
            return None
        case _:
            return value


def _is_message(item: object) -> bool:
    return isinstance(item, dict) and ("method" in item or "result" in item or "error" in item)


def request(request_id: int, method: str, params: Mapping[str, Any]) -> Message:
    return {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}


def notification(method: str, params: Mapping[str, Any] | None = None) -> Message:
    message: Message = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        message["params"] = params
    return message


def reply_to(message: Message) -> Message:
    """Our answer to a request that is no question of a call: alive, and nothing else."""
    if message["method"] == "ping":
        return {"jsonrpc": "2.0", "id": message["id"], "result": {}}
    error = {"code": METHOD_NOT_FOUND, "message": f"{message['method']} is not supported here"}
    return {"jsonrpc": "2.0", "id": message["id"], "error": error}


def error_to(message: Message, error: ProtocolFailure) -> Message:
    body: Message = {"code": error.code, "message": error.message}
    return {"jsonrpc": "2.0", "id": message["id"], "error": body}


def result_of(response: Message) -> dict[str, Any]:
    """The raw result.

    Raises:
        ProtocolFailure: It is an error response, or its result is no object.
    """
    error = response.get("error")
    if error is not None:
        raise failure(error)
    result = response.get("result")
    if not isinstance(result, dict):
        raise ProtocolFailure(INTERNAL_ERROR, "the backend's result is not an object")
    return result


def failure(error: object) -> ProtocolFailure:
    if not isinstance(error, dict):
        return ProtocolFailure(INTERNAL_ERROR, "the backend's error is not an object")
    code, message, data = error.get("code"), error.get("message"), error.get("data")
    return ProtocolFailure(
        code if isinstance(code, int) and not isinstance(code, bool) else INTERNAL_ERROR,
        message if isinstance(message, str) else "the backend gave no message",
        data,
        retry_after=_retry_after(data),
    )


def _retry_after(data: object) -> float | None:
    """Seconds; `retryAfterMs` says that the same call may do better later."""
    if not isinstance(data, dict) or data.get("retryable") is False:
        return None
    after = data.get("retryAfterMs")
    if not isinstance(after, int | float) or isinstance(after, bool) or not after >= 0:
        return None
    return min(float(after), LONGEST_HINT_MS) / 1000


def request_id_of(message: Message) -> int | None:
    """The id of one of our requests that a response names; some peers echo it as a string."""
    found = message.get("id")
    if isinstance(found, str) and found.isascii() and found.isdecimal():
        return int(found)
    return found if isinstance(found, int) and not isinstance(found, bool) else None
