"""JSON as it goes over a wire or into the store."""

import json
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
    return json.loads(raw) if _has_huge_number(value) else value


def is_json(value: Any) -> bool:
    """Whether what some parser made of JSON can be written again, and read by `load_json`.

    Half of a surrogate pair cannot, nor a number that no float comes near to.
    """
    try:
        orjson.dumps(value)
    except TypeError:
        try:
            load_json(dump_json(value))
        except ValueError:
            return False
    return True


def _has_huge_number(value: Any) -> bool:
    """Looked for in the value: cheaper than in the text, which may be long and say nothing."""
    found = [value]
    for item in found:  # which grows by what is in it
        kind = type(item)
        if kind is dict:
            found += item.values()
        elif kind is list:
            found += item
        elif kind is float and abs(item) >= _EXACT:
            return True
    return False
