"""Rows of a job's output. Inside a transaction."""

import sqlite3

from common.jobs.output import (
    OUTPUT_BYTES,
    OUTPUT_ENTRIES,
    Appended,
    OutputRead,
    decode_entry,
)


def append(
    database: sqlite3.Connection, job_id: str, said: Appended, *, tried: int, now: int
) -> None:
    """Unless this mark was the last one, put it behind what is there, and drop the oldest."""
    sums = database.execute(
        "SELECT last, first, bytes, mark FROM output_sums WHERE job = ?", (job_id,)
    ).fetchone()
    last, first, kept, mark = sums or (0, 1, 0, "")
    if mark == said.mark:
        return
    if said.skipped:
        database.execute("DELETE FROM output WHERE job = ?", (job_id,))
        last, first, kept = last + said.skipped, last + said.skipped + 1, 0
    rows = []
    for entry in said.entries:
        last += 1
        row = b"[%d,%d,%d,%b]" % (last, now, tried, entry)
        rows.append((job_id, last, row))
        kept += len(row)
    database.executemany("INSERT INTO output VALUES (?, ?, ?)", rows)
    first, kept = _drop(database, job_id, first, last, kept)
    database.execute(
        "INSERT OR REPLACE INTO output_sums VALUES (?, ?, ?, ?, ?)",
        (job_id, last, first, kept, said.mark),
    )


def _drop(
    database: sqlite3.Connection, job_id: str, first: int, last: int, kept: int
) -> tuple[int, int]:
    """What is over the cap goes; the first number and the bytes that are kept after it."""
    before = first
    while first <= last and (last - first >= OUTPUT_ENTRIES or kept > OUTPUT_BYTES):
        (size,) = database.execute(
            "SELECT length(row) FROM output WHERE job = ? AND number = ?", (job_id, first)
        ).fetchone()
        first, kept = first + 1, kept - size
    if first > before:
        database.execute("DELETE FROM output WHERE job = ? AND number < ?", (job_id, first))
    return first, kept


def read(database: sqlite3.Connection, job_id: str, after: int, limit: int) -> OutputRead:
    sums = database.execute("SELECT last FROM output_sums WHERE job = ?", (job_id,)).fetchone()
    rows = database.execute(
        "SELECT row FROM output WHERE job = ? AND number > ? ORDER BY number LIMIT ?",
        (job_id, after, limit),
    )
    return OutputRead(entries=[decode_entry(row) for (row,) in rows], last=sums[0] if sums else 0)
