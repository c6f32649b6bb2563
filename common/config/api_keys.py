"""API keys as people give them: a list of `key` or `name=key`."""

import hashlib
import re

_NAMED = re.compile(r"([A-Za-z0-9_.@-]+)=(.*[^=].*)")


def caller_of(key: str) -> str:
    """The caller of a key that names none: stable, and says nothing about the key."""
    return f"key-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def parse_api_keys(value: object) -> object:
    """Keys with their callers; anything that is not text or a list is left to the type check.

    A lone `=` or `==` at the end belongs to the key (base64), it does not name a caller.

    Raises:
        ValueError: The same key twice, which could not say who calls; or one that nobody can send.
    """
    if isinstance(value, str):
        value = [part.strip() for part in re.split(r"[,\n]", value)]
    if not isinstance(value, list | tuple):
        return value
    keys = [_key(item) if isinstance(item, str) else item for item in value if item != ""]
    known = [item["key"] for item in keys if isinstance(item, dict) and "key" in item]
    if not all(can_be_sent(str(key)) for key in known):
        raise ValueError(
            "a key should be of printable ASCII characters: a header carries no others"
        )
    if len(set(map(str, known))) < len(known):
        raise ValueError("the same key is listed twice")
    return keys


def can_be_sent(key: str) -> bool:
    """In a header of HTTP."""
    return key.isascii() and key.isprintable()


def _key(text: str) -> dict[str, str]:
    if named := _NAMED.fullmatch(text):
        return {"caller": named[1], "key": named[2]}
    return {"caller": caller_of(text), "key": text}
