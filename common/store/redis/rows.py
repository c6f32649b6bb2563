"""Rows of an index, as Redis gives them."""

from collections.abc import Sequence
from typing import Any


def was_seen(row: tuple[str, float], score: str, last: str, newest_first: bool) -> bool:
    """It stands at the cursor's score, at or before the last one that a page showed."""
    member, at = row
    if f"{at:.0f}" != score:
        return False
    return member >= last if newest_first else member <= last


def pairs_of(rows: Sequence[Any]) -> list[tuple[str, float]]:
    """Members with scores, as RESP3 (pairs) or RESP2 (flat) gives them."""
    if rows and isinstance(rows[0], list):
        return [(member.decode(), float(score)) for member, score in rows]
    flat = list(rows)
    return [(flat[i].decode(), float(flat[i + 1])) for i in range(0, len(flat), 2)]
