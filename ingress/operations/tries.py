"""What became of each try of a job, read from the events that its record keeps. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from common.store.base import Event

_ENDS = frozenset(
    {"retried", "started_over", "handed_back", "rescued", "asked", "completed", "failed"}
    | {"cancelled", "lost", "dead"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One claim: who had it, from when to when, and how it ended."""

    worker: str
    started_at: int  # ms
    ended_at: int = 0  # 0: it has not ended
    ended: str = ""  # the event that ended it
    why: str = ""
    error: Mapping[str, Any] | None = None  # as JSON-RPC has it, where there was one


def tries_of(events: Sequence[Event], error: Mapping[str, Any] | None = None) -> list[Try]:
    """The oldest first. `error` is what the record keeps: it belongs to the end of a dead letter.

    A record keeps its newest events only: of a job with very many the first tries may be missing.
    """
    tries: list[Try] = []
    for event in events:
        if event.name == "claimed":
            tries.append(Try(worker=str(event.facts.get("worker", "")), started_at=event.at))
        # A call that asked over its own connection goes on, and ends later; any other is over.
        elif event.name in _ENDS and tries and tries[-1].ended in {"", "asked"}:
            tries[-1] = _ended(tries[-1], event, error)
    return tries


def _ended(run: Try, event: Event, stored: Mapping[str, Any] | None) -> Try:
    error = event.facts.get("error")
    if error is None and event.name in {"dead", "lost"}:
        error = stored
    why = str(event.facts.get("reason") or (error or {}).get("message") or "")
    return replace(run, ended_at=event.at, ended=event.name, why=why, error=error)
