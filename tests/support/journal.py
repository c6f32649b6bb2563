"""What the program logs while a test runs: facts to wait for, and failures to fail on."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

# What a boundary logs when it had to catch what nobody expected.
UNEXPECTED = frozenset(
    {
        "delivery.failed",
        "run.failed",
        "job.not_settled",
        "job.stray",
        "backend.replica_failed",
        "backend.side_task_failed",
        "backend.listing_not_taken",
        "broker.task_failed",
        "record.broken",
        "sweep.broken",
        "leftovers.broken",
    }
)


@dataclass
class Journal:
    entries: list[MutableMapping[str, Any]] = field(default_factory=list)

    def of(self, event: str, **facts: Any) -> list[MutableMapping[str, Any]]:
        return [
            entry
            for entry in self.entries
            if entry["event"] == event and facts.items() <= dict(entry).items()
        ]

    @property
    def unexpected(self) -> list[MutableMapping[str, Any]]:
        return [entry for entry in self.entries if entry["event"] in UNEXPECTED]


@contextmanager
def journal() -> Iterator[Journal]:
    """Keep every log entry while the block runs; they are printed as always, too."""
    kept = Journal()

    def keep(
        _logger: Any, _method: str, entry: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        kept.entries.append(dict(entry))
        return entry

    before = structlog.get_config()["processors"]
    merge = structlog.contextvars.merge_contextvars
    structlog.configure(processors=[merge, keep, *before])
    try:
        yield kept
    finally:
        structlog.configure(processors=before)
