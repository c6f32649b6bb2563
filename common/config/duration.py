"""Durations as people write them: `500ms`, `30s`, `10m`, `24h`, `7d`, or seconds as a number."""

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_FORM = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*$", re.ASCII)


def parse_duration(value: object) -> object:
    """Seconds for a duration in words; a number is left to the type check.

    Raises:
        ValueError: The text is not a duration, or it is neither text nor a number.
    """
    if isinstance(value, bool):
        raise ValueError("should be a duration, as 500ms, 30s, 10m, 24h or 7d")  # noqa: TRY004 - pydantic reports a ValueError
    if not isinstance(value, str):
        return value
    match = _FORM.match(value)
    if match is None:
        raise ValueError(f"{value!r} is not a duration; write 500ms, 30s, 10m, 24h or 7d")
    return float(match[1]) * _UNITS[match[2] or "s"]
