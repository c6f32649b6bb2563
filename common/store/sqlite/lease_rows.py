"""Leases and the grace, as rows. Judged by `common.store.interpret`, inside a transaction."""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from common.jobs.indexes import DUE, owner_index
from common.store.base import Lease, Timings
from common.store.interpret import is_alive, is_silent

FORGOTTEN_MS = 3_600_000  # a lease that lapsed so long ago is listed no more


def beat(
    database: sqlite3.Connection, lease: str, info: Mapping[str, Any], now: int, timings: Timings
) -> None:
    _notice_silence(database, now, timings)
    database.execute(
        "INSERT OR REPLACE INTO leases VALUES (?, ?, ?)", (lease, now, orjson.dumps(info))
    )
    if not _in_grace(database, now):
        database.execute("DELETE FROM leases WHERE beat_at < ?", (now - FORGOTTEN_MS,))


def release(database: sqlite3.Connection, lease: str, now: int) -> None:
    database.execute("DELETE FROM leases WHERE id = ?", (lease,))
    database.execute(
        "UPDATE entries SET score = ? WHERE name = ?"
        " AND job IN (SELECT job FROM entries WHERE name = ?)",
        (now, DUE, owner_index(lease)),
    )


def alive(database: sqlite3.Connection, lease: str, now: int, timings: Timings) -> bool:
    return is_alive(_beat_at(database, lease), now, timings)


def gone(database: sqlite3.Connection, lease: str, now: int, timings: Timings) -> bool:
    """Released or unknown: at once. Lapsed: only when no grace is open. No name: never."""
    if not lease:
        return False
    beat_at = _beat_at(database, lease)
    if beat_at is None:
        return True
    if is_alive(beat_at, now, timings):
        return False
    _notice_silence(database, now, timings)
    return not _in_grace(database, now)


def listed(database: sqlite3.Connection, now: int, timings: Timings) -> Sequence[Lease]:
    rows = database.execute("SELECT id, beat_at, info FROM leases ORDER BY beat_at, id")
    return [
        Lease(
            id=lease,
            beat_at=beat_at,
            alive=is_alive(beat_at, now, timings),
            info=orjson.loads(info),
        )
        for lease, beat_at, info in rows
    ]


def _beat_at(database: sqlite3.Connection, lease: str) -> int | None:
    row = database.execute("SELECT beat_at FROM leases WHERE id = ?", (lease,)).fetchone()
    return None if row is None else int(row[0])


def _notice_silence(database: sqlite3.Connection, now: int, timings: Timings) -> None:
    (newest,) = database.execute("SELECT max(beat_at) FROM leases").fetchone()
    if is_silent(newest, now, timings):
        database.execute("INSERT OR REPLACE INTO grace VALUES (1, ?)", (now + timings.grace_ms,))


def _in_grace(database: sqlite3.Connection, now: int) -> bool:
    row = database.execute("SELECT until FROM grace").fetchone()
    return row is not None and now < int(row[0])
