"""What a call said that does not stand in its job's output yet, within the cap of that output."""

from collections import deque
from collections.abc import Iterable

from common.jobs.output import OUTPUT_BYTES, OUTPUT_ENTRIES, Appended


class Said:
    """One batch is on its way at a time; it stays the same until it is known to be written."""

    def __init__(self, claim: int) -> None:
        self._claim = claim
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._skipped = 0
        self.total = 0  # bytes of all that was ever said, kept or not
        self._batches = 0
        self._batch: Appended | None = None

    def add(self, entries: Iterable[bytes]) -> None:
        for entry in entries:
            self._waiting.append(entry)
            self._bytes += len(entry)
            self.total += len(entry)
        while len(self._waiting) > OUTPUT_ENTRIES or self._bytes > OUTPUT_BYTES:
            self._bytes -= len(self._waiting.popleft())
            self._skipped += 1

    def batch(self) -> Appended | None:
        """What is to be written now; None: everything is."""
        if self._batch is None and self._waiting:
            self._batches += 1
            self._batch = Appended(
                mark=f"{self._claim}.{self._batches}",
                entries=tuple(self._waiting),
                skipped=self._skipped,
            )
            self._waiting.clear()
            self._bytes = self._skipped = 0
        return self._batch

    @property
    def left(self) -> bool:
        """Something is not known to be written."""
        return self._batch is not None or bool(self._waiting)

    def written(self) -> None:
        self._batch = None
