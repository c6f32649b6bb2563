"""Reading indexes in order, and the catalogue. On the reading connection, except what writes."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from common.jobs.head import Head, decode_head
from common.store.base import CatalogueEntry, Page, Place, place_of, written_place
from common.store.replaying import Fields
from common.wire import dump_json, load_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which part of an index, and from which end."""

    after: Place | None = None
    since: float | None = None
    until: float | None = None
    newest_first: bool = True


def page(
    database: sqlite3.Connection, index: str, limit: int, cursor: str | None, *, newest_first: bool
) -> Page:
    """Heads after the cursor: insertions shift nothing."""
    span = Span(after=place_of(cursor) if cursor else None, newest_first=newest_first)
    rows = places(database, index, limit + 1, span)
    shown = rows[:limit]
    found = heads(database, [job for _, job in shown])
    return Page(
        heads=[head for head in found if head is not None],
        cursor=written_place(shown[-1]) if len(rows) > limit and shown else None,
    )


def places(database: sqlite3.Connection, index: str, limit: int, span: Span) -> Sequence[Place]:
    order, beyond = ("DESC", "<") if span.newest_first else ("ASC", ">")
    where: list[str] = []
    values: list[str | float] = [index]
    if span.since is not None:
        where.append("AND score >= ?")
        values.append(span.since)
    if span.until is not None:
        where.append("AND score < ?")
        values.append(span.until)
    if span.after is not None:
        # Said twice: SQLite seeks by a plain comparison, also beside another one.
        where.append(f"AND score {beyond}= ? AND (score, job) {beyond} (?, ?)")
        values += [span.after[0], *span.after]
    rows: list[Place] = database.execute(
        f"SELECT score, job FROM entries WHERE name = ? {' '.join(where)}"  # noqa: S608 - our words
        f" ORDER BY score {order}, job {order} LIMIT ?",
        (*values, limit),
    ).fetchall()
    return rows


def heads(database: sqlite3.Connection, job_ids: Sequence[str]) -> Sequence[Head | None]:
    found = _stored(database, job_ids)
    return [decode_head(found[job_id]) if job_id in found else None for job_id in job_ids]


def glances(
    database: sqlite3.Connection, job_ids: Sequence[str], fields: Sequence[str]
) -> Sequence[Sequence[str] | None]:
    found = _stored(database, job_ids)
    return [
        [str(found[job_id].get(name, "")) for name in fields] if job_id in found else None
        for job_id in job_ids
    ]


def _stored(database: sqlite3.Connection, job_ids: Sequence[str]) -> dict[str, Fields]:
    marks = ", ".join("?" * len(job_ids))
    rows = database.execute(
        f"SELECT id, head FROM records WHERE id IN ({marks})",  # noqa: S608 - marks only
        tuple(job_ids),
    )
    return {job_id: orjson.loads(head) for job_id, head in rows}


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


def ranks(database: sqlite3.Connection, index: str, job_ids: Sequence[str]) -> Sequence[int | None]:
    """In one pass over the index, however many jobs: counting is what costs here."""
    found: dict[str, int] = {}
    counted, last = 0, float("-inf")
    known = zip(scores(database, index, job_ids), job_ids, strict=True)
    for at, job_id in sorted((at, job_id) for at, job_id in known if at is not None):
        counted += _between(database, index, last, at)
        last = at
        (same,) = database.execute(
            "SELECT count(*) FROM entries WHERE name = ? AND score = ? AND job < ?",
            (index, at, job_id),
        ).fetchone()
        found[job_id] = counted + int(same)
    return [found.get(job_id) for job_id in job_ids]


def _between(database: sqlite3.Connection, index: str, low: float, high: float) -> int:
    (count,) = database.execute(
        "SELECT count(*) FROM entries WHERE name = ? AND score >= ? AND score < ?",
        (index, low, high),
    ).fetchone()
    return int(count)


def scores(
    database: sqlite3.Connection, index: str, job_ids: Sequence[str]
) -> Sequence[float | None]:
    marks = ", ".join("?" * len(job_ids))
    found: dict[str, float] = dict(
        database.execute(
            f"SELECT job, score FROM entries WHERE name = ? AND job IN ({marks})",  # noqa: S608 - marks only
            (index, *job_ids),
        ).fetchall()
    )
    return [found.get(job_id) for job_id in job_ids]


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
