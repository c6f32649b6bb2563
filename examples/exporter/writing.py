"""Writing rows to a file at a limited rate: whole, or not at all; and on from where a try was."""

import csv
import hashlib
import io
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anyio

from examples.exporter.part import Mark, Part

Format = Literal["csv", "jsonl"]
Rows = Sequence[tuple[str, ...]]
Progress = Callable[[int, int, Mark], Awaitable[None]]

_BATCH = 2_000  # rows between two looks at the clock when nothing limits the rate
_STEP = 0.25  # seconds between two signs of life, about


class OutsideFolder(ValueError):
    """The destination would leave the exporter's own folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What is written: the rows, all of them so often."""

    columns: Sequence[str]
    some: Rows
    copies: int = 1

    def __len__(self) -> int:
        return len(self.some) * self.copies

    def after(self, done: int, most: int) -> Rows:
        """The next ones, at most so many."""
        start = done % len(self.some) if self.some else 0
        return self.some[start : start + min(most, len(self) - done)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a file is written, and where it goes."""

    target: Path
    scratch: Path  # the folder of its part
    lasts: bool = False  # a later try may come, and find the part
    mark: Mark | None = None  # how far a try before this one came

    def part(self) -> Part:
        name = self.target.name
        resumed = Part.resume(self.scratch, name, self.mark) if self.mark is not None else None
        return resumed or Part.begin(self.scratch, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    path: Path
    rows: int
    bytes: int
    sha256: str
    seconds: float


def folder_within(root: Path, destination: str) -> Path:
    """`destination` as a folder below `root`; raises OutsideFolder, symbolic links followed."""
    top = root.resolve()
    folder = (top / destination).resolve()
    if not folder.is_relative_to(top):
        raise OutsideFolder(f"destination {destination!r} is outside the exporter's own folder")
    return folder


def file_name(dataset: str, format_: Format, where: object, copies: int = 1) -> str:
    """A name that follows from the arguments: the same export always replaces itself."""
    if not where and copies == 1:
        return f"{dataset}.{format_}"
    said = json.dumps(where if copies == 1 else [where, copies], sort_keys=True)
    mark = hashlib.sha256(said.encode()).hexdigest()[:8]
    return f"{dataset}-{mark}.{format_}"


def encode(columns: Sequence[str], rows: Rows, format_: Format, *, header: bool) -> bytes:
    if format_ == "jsonl":
        lines = (
            json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) for row in rows
        )
        return "".join(f"{line}\n" for line in lines).encode()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


async def write_rows(
    place: Place,
    table: Table,
    format_: Format,
    *,
    rows_per_second: float | None,
    progress: Progress,
) -> Written:
    """Write the rows, at most so many a second, telling `progress(done, total, mark)`.

    The file appears under its name only when it is complete. When the disk is full nothing is left
    behind, nor when the call is cancelled, unless a later try may go on; when the process is
    killed, a hidden `.part` file is.
    """
    started = time.monotonic()
    part = await anyio.to_thread.run_sync(place.part)
    try:
        await _write(part, table, format_, rows_per_second, progress)
        digest = await anyio.to_thread.run_sync(part.finish, place.target)
    except BaseException as end:
        part.close(delete=isinstance(end, Exception) or not place.lasts)
        raise
    return Written(
        path=place.target,
        rows=part.rows,
        bytes=part.bytes,
        sha256=digest,
        seconds=round(time.monotonic() - started, 3),
    )


async def _write(
    part: Part, table: Table, format_: Format, rate: float | None, progress: Progress
) -> None:
    began, first, told = time.monotonic(), part.rows, 0.0
    batch = _BATCH if rate is None else max(1, round(rate * _STEP))
    while part.rows < len(table) or not part.bytes:
        some = table.after(part.rows, batch)
        part.write(encode(table.columns, some, format_, header=not part.bytes), len(some))
        due = 0.0 if rate is None else (part.rows - first) / rate
        await anyio.sleep(max(0.0, began + due - time.monotonic()))
        if time.monotonic() - told >= _STEP / 2 or part.rows == len(table):
            told = time.monotonic()
            await progress(part.rows, len(table), part.mark())
        if not some:
            return  # an empty one, with or without a header
