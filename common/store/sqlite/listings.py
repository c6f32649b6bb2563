"""Reading indexes in order, and the catalogue. On the reading connection, except what writes."""

import sqlite3
from collections.abc import Sequence

import orjson

from common.jobs.head import decode_head
from common.store.base import CatalogueEntry, Page
from common.wire import dump_json, load_json


def page(
    database: sqlite3.Connection, index: str, limit: int, cursor: str | None, *, newest_first: bool
) -> Page:
    """Heads after the cursor ("score:id" of the last one seen): insertions shift nothing."""
    order, beyond = ("DESC", "<") if newest_first else ("ASC", ">")
    where, values = "", [index]
    if cursor is not None:
        score, _, job_id = cursor.partition(":")
        where = f"AND (score, job) {beyond} (CAST(? AS REAL), ?)"
        values += [score, job_id]
    rows = database.execute(
        "SELECT score, job, head FROM entries JOIN records ON records.id = job"  # noqa: S608 - our words
        f" WHERE entries.name = ? {where} ORDER BY score {order}, job {order} LIMIT ?",
        (*values, limit + 1),
    ).fetchall()
    shown = rows[:limit]
    return Page(
        heads=[decode_head(orjson.loads(head)) for _, _, head in shown],
        cursor=f"{shown[-1][0]!r}:{shown[-1][1]}" if len(rows) > limit and shown else None,
    )


def counts(database: sqlite3.Connection, indexes: Sequence[str]) -> Sequence[int]:
    return [
        database.execute("SELECT count(*) FROM entries WHERE name = ?", (index,)).fetchone()[0]
        for index in indexes
    ]


def rank(database: sqlite3.Connection, index: str, job_id: str) -> int | None:
    at = score(database, index, job_id)
    if at is None:
        return None
    (before,) = database.execute(
        "SELECT count(*) FROM entries WHERE name = ? AND (score, job) < (?, ?)",
        (index, at, job_id),
    ).fetchone()
    return int(before)


def score(database: sqlite3.Connection, index: str, job_id: str) -> float | None:
    row = database.execute(
        "SELECT score FROM entries WHERE name = ? AND job = ?", (index, job_id)
    ).fetchone()
    return None if row is None else float(row[0])


def oldest(database: sqlite3.Connection, index: str) -> float | None:
    (lowest,) = database.execute(
        "SELECT min(score) FROM entries WHERE name = ?", (index,)
    ).fetchone()
    return None if lowest is None else float(lowest)


def catalogue(database: sqlite3.Connection) -> Sequence[CatalogueEntry]:
    rows = database.execute(
        "SELECT backend, digest, started_at, body FROM catalogue ORDER BY backend"
    )
    return [
        CatalogueEntry(backend=backend, digest=digest, started_at=started_at, body=load_json(body))
        for backend, digest, started_at, body in rows
    ]


def put_catalogue(database: sqlite3.Connection, entry: CatalogueEntry) -> bool:
    row = database.execute(
        "SELECT digest, started_at FROM catalogue WHERE backend = ?", (entry.backend,)
    ).fetchone()
    if row is not None and (row[0] == entry.digest or row[1] > entry.started_at):
        return False
    database.execute(
        "INSERT OR REPLACE INTO catalogue VALUES (?, ?, ?, ?)",
        (entry.backend, entry.digest, entry.started_at, dump_json(entry.body)),
    )
    return True


def forget(database: sqlite3.Connection, backend: str) -> bool:
    done = database.execute("DELETE FROM catalogue WHERE backend = ?", (backend,))
    return done.rowcount > 0
