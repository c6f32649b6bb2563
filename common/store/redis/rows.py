"""Rows of an index, as Redis gives them."""

from collections.abc import Sequence
from typing import Any

from common.store.base import Place


def was_seen(row: Place, after: Place | None, newest_first: bool) -> bool:
    """It stands at that place or before it."""
    if after is None:
        return False
    return row >= after if newest_first else row <= after


def pairs_of(rows: Sequence[Any]) -> list[tuple[str, float]]:
    """Members with scores, as RESP3 (pairs) or RESP2 (flat) gives them."""
    if rows and isinstance(rows[0], list):
        return [(member.decode(), float(score)) for member, score in rows]
    flat = list(rows)
    return [(flat[i].decode(), float(flat[i + 1])) for i in range(0, len(flat), 2)]
