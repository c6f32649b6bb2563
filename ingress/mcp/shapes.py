"""Whether a request has the shape that its version of the protocol gives it, as the SDK sees it.

A client declares the same with each request of 2026-07-28, and that is most of what there is to
check: what passed once is remembered.
"""

from collections.abc import Mapping
from typing import Any

import mcp_types as types
import orjson
from mcp_types import methods
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

REMEMBERED = 1_024  # declarations that passed
LONGEST = 4_096  # bytes of one of them

_DECLARED = (
    types.PROTOCOL_VERSION_META_KEY,
    types.CLIENT_CAPABILITIES_META_KEY,
    types.CLIENT_INFO_META_KEY,
    types.LOG_LEVEL_META_KEY,
)
_PLAIN = frozenset({"name", "arguments", "_meta"})


class Shapes:
    def __init__(self) -> None:
        self._passed: set[bytes] = set()

    def check(self, method: str, version: str, params: Mapping[str, Any] | None) -> None:
        """As the SDK's own check.

        Raises:
            KeyError: The version has no such method.
            pydantic.ValidationError: The params are none of this method.
        """
        declared = _declared(params) if method == "tools/call" else None
        if declared is None or params is None or version not in MODERN_PROTOCOL_VERSIONS:
            methods.validate_client_request(method, version, params)
            return
        if declared not in self._passed:
            methods.validate_client_request(method, version, params)
            self._remember(declared)

    def _remember(self, declared: bytes) -> None:
        if len(declared) > LONGEST:
            return
        if len(self._passed) >= REMEMBERED:
            self._passed.clear()
        self._passed.add(declared)


def _declared(params: Mapping[str, Any] | None) -> bytes | None:
    """What a plain call's client declares; None when there is more to check than that."""
    if params is None or not params.keys() <= _PLAIN or type(params.get("name")) is not str:
        return None
    meta, arguments = params.get("_meta"), params.get("arguments")
    if type(meta) is not dict or not (arguments is None or type(arguments) is dict):
        return None
    token = meta.get("progressToken")
    if not (token is None or type(token) is str or type(token) is int):
        return None
    try:
        return orjson.dumps({key: meta[key] for key in _DECLARED if key in meta})
    except TypeError:  # a number that orjson does not write
        return None
