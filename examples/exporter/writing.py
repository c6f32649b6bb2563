"""Writing rows to a file at a limited rate: whole, or not at all."""

import csv
import hashlib
import io
import json
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

import anyio

Format = Literal["csv", "jsonl"]
Rows = Sequence[tuple[str, ...]]
Progress = Callable[[int, int], Awaitable[None]]

_BATCH = 500  # rows between two looks at the clock when nothing limits the rate
_STEP = 0.25  # seconds between two signs of life when something does


class OutsideFolder(ValueError):
    """The destination would leave the exporter's own folder."""


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


def file_name(dataset: str, format_: Format, where: object) -> str:
    """A name that follows from the arguments: the same export always replaces itself."""
    if not where:
        return f"{dataset}.{format_}"
    mark = hashlib.sha256(json.dumps(where, sort_keys=True).encode()).hexdigest()[:8]
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
    target: Path,
    columns: Sequence[str],
    rows: Rows,
    format_: Format,
    *,
    rows_per_second: float | None,
    progress: Progress,
) -> Written:
    """Write `rows` to `target`, at most `rows_per_second`, telling `progress(done, total)`.

    The file appears under its name only when it is complete. When the call is cancelled or the
    disk is full nothing is left behind; when the process is killed, a hidden `.part` file is.
    """
    started = time.monotonic()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{uuid4().hex[:8]}.part")
    digest = hashlib.sha256()
    size = 0
    batch = _BATCH if rows_per_second is None else max(1, round(rows_per_second * _STEP))
    try:
        with part.open("wb") as file:
            for first in range(0, max(len(rows), 1), batch):
                some = rows[first : first + batch]
                data = encode(columns, some, format_, header=first == 0)
                file.write(data)
                digest.update(data)
                size += len(data)
                done = first + len(some)
                due = 0.0 if rows_per_second is None else done / rows_per_second
                await anyio.sleep(max(0.0, started + due - time.monotonic()))
                await progress(done, len(rows))
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return Written(
        path=target,
        rows=len(rows),
        bytes=size,
        sha256=digest.hexdigest(),
        seconds=round(time.monotonic() - started, 3),
    )
