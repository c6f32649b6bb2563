"""Retrying: when a try that failed is followed by another one, and after how long. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common.errors import TOOL_FAILED
from common.jobs.asking import kept, start_over
from common.jobs.change import Change
from common.jobs.endings import RetentionMs, bury
from common.jobs.head import Head
from common.jobs.questions import Round
from common.jobs.state import JobState
from common.jobs.transitions import hand_back, retry
from common.values import value_type

HAND_BACK_MS = 1_000  # doubles with each in a row
LONGEST_HAND_BACK_MS = 60_000
LONGEST_HINT_MS = 3_600_000  # what a backend may ask for is not without end
RETRIES = frozenset({"retried", "started_over"})  # changes that are another try


@value_type(frozen=True, slots=True, kw_only=True)
class Terms:
    """What chance, the backend and its budget say about the next try."""

    chance: float  # 0..1, for the jitter
    retry_after: float | None = None  # seconds that the backend asks for
    over: float = 0.0  # seconds that the retry waits longer, because the budget is used up


def again(
    head: Head,
    error: Mapping[str, Any],
    retention: RetentionMs,
    terms: Terms,
    *,
    reached: Round | None = None,
) -> Change:
    """The next try, after exponential backoff with full jitter; a dead letter past the limit.

    The backoff comes on top of what the backend asks for: who was refused together does not come
    back together.
    """
    if head.tries >= head.spec.attempts:
        return bury(head, error, retention)
    ceiling = min(head.spec.retry_max_ms, head.spec.retry_first_ms << min(head.tries - 1, 20))
    delay_ms = round(ceiling * terms.chance) + _hint_ms(terms) + round(terms.over * 1000)
    if head.state is JobState.INPUT_REQUIRED:
        change = start_over(head, f"{error['message']}{_remark(head, terms)}", delay_ms)
    else:
        change = retry(head, delay_ms, error, _remark(head, terms))
    return change if reached is None else replace(change, parts=kept(reached))


def back(head: Head, why: str, terms: Terms, reached: Round | None = None) -> Change:
    """Not a try: to the queue, each time in a row after a longer pause."""
    pause = min(LONGEST_HAND_BACK_MS, HAND_BACK_MS << min(head.hand_backs, 20))
    delay_ms = round(pause * (0.5 + terms.chance / 2)) + _hint_ms(terms)
    change = hand_back(head, why, delay_ms)
    return change if reached is None else replace(change, parts=kept(reached))


def tool_failure(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tool's own error as a JSON-RPC error, with the result in it."""
    blocks = result.get("content")
    texts = (
        str(block.get("text", ""))
        for block in (blocks if isinstance(blocks, list) else ())
        if isinstance(block, Mapping) and block.get("type") == "text"
    )
    said = next((text.strip() for text in texts if text.strip()), "")
    message = f"the tool reported an error: {said[:300]}" if said else "the tool reported an error"
    return {"code": TOOL_FAILED, "message": message, "data": {"result": dict(result)}}


def _hint_ms(terms: Terms) -> int:
    return min(LONGEST_HINT_MS, round((terms.retry_after or 0.0) * 1000))


def _remark(head: Head, terms: Terms) -> str:
    if not terms.over:
        return ""
    return f"; it waits longer, because backend {head.spec.backend} has had its share of retries"
