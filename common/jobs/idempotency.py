"""Idempotency keys: a caller's own name for a call, so that repeating it makes no second job."""

import re
from hashlib import sha256

from common.wire import canonical_json

KEY_PATTERN = r"[!-~]{1,255}"
KEY_RULE = "1 to 255 visible ASCII characters, without spaces"
_KEY = re.compile(KEY_PATTERN)


def is_key(text: str) -> bool:
    return _KEY.fullmatch(text) is not None


def unique_key(caller: str, key: str) -> str:
    """What the record holds as long as it lives; no caller chooses its length or characters."""
    return f"call:{sha256(canonical_json([caller, key])).hexdigest()}"
