"""What a backend says about when to come again."""

from typing import Any

import pytest

from common.retry_after import retry_after
from workers.backends.jsonrpc import failure

DATE = "Sat, 21 Nov 2026 08:00:00 GMT"


@pytest.mark.parametrize(
    ("said", "date", "seconds"),
    [
        ("30", "", 30.0),
        (" 0 ", "", 0.0),
        ("Sat, 21 Nov 2026 08:02:00 GMT", DATE, 120.0),
        ("Sat, 21 Nov 2026 07:00:00 GMT", DATE, 0.0),
        ("Sat, 21 Nov 2026 08:02:00 GMT", "", None),
        ("", DATE, None),
        ("soon", DATE, None),
        ("-5", DATE, None),
        ("1.5", DATE, None),
        ("٣", DATE, None),
        ("9" * 40, DATE, None),
    ],
)
def test_retry_after(said: str, date: str, seconds: float | None) -> None:
    assert retry_after(said, date) == seconds


@pytest.mark.parametrize(
    ("data", "seconds"),
    [
        ({"retryAfterMs": 1_500}, 1.5),
        ({"retryable": True, "retryAfterMs": 0}, 0.0),
        ({"retryable": False, "retryAfterMs": 1_500}, None),
        ({"retryAfterMs": True}, None),
        ({"retryAfterMs": -1}, None),
        ({"retryAfterMs": "1"}, None),
        ({"retryAfterMs": float("nan")}, None),
        ({"retryAfterMs": 1e300}, 1e9),
        ({}, None),
        ([1], None),
        (None, None),
    ],
)
def test_retry_after_in_an_error(data: Any, seconds: float | None) -> None:
    assert failure({"code": 1, "message": "busy", "data": data}).retry_after == seconds
