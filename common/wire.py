"""JSON as it goes over a wire or into the store."""

import json
from typing import Any

import orjson


def dump_json(value: Any) -> bytes:
    """Compact JSON. Whole numbers beyond 64 bits, which orjson refuses, keep their digits."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
