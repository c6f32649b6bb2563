"""JSON as it goes over a wire or into the store."""

import json
from collections.abc import Callable
from math import isfinite
from typing import Any

import orjson

_EXACT = float(2**63)  # a larger number may have been a whole one with more digits than a float has


def dump_json(value: Any) -> bytes:
    """Compact JSON. Whole numbers beyond 64 bits, which orjson refuses, keep their digits."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def canonical_json(value: Any) -> bytes:
    """The same bytes for the same value, whatever the order of the members of its objects."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode()


def load_json(raw: bytes) -> Any:
    """The value. Whole numbers beyond 64 bits, which orjson makes floats of, keep their digits.

    Raises:
        ValueError: Not JSON.
    """
    value = orjson.loads(raw)
    return json.loads(raw) if _has_float(value, _may_be_whole) else value


def is_json(value: Any) -> bool:
    """Whether what some parser made of JSON can be written again, and read by `load_json`.

    Half of a surrogate pair cannot, nor what is no number or beyond all floats.
    """
    try:
        written = orjson.dumps(value)
    except TypeError:
        try:
            load_json(dump_json(value))
        except ValueError:
            return False
        return True
    # As null it writes what has none of its own, and the tool would get that.
    return b"null" not in written or not _has_float(value, _is_unwritten)


def _has_float(value: Any, fits: Callable[[float], bool]) -> bool:
    """Looked for in the value: cheaper than in the text, which may be long and say nothing."""
    found = [value]
    for item in found:  # which grows by what is in it
        kind = type(item)
        if kind is dict:
            found += item.values()
        elif kind is list:
            found += item
        elif kind is float and fits(item):
            return True
    return False


def _may_be_whole(number: float) -> bool:
    return abs(number) >= _EXACT


def _is_unwritten(number: float) -> bool:
    return not isfinite(number)
