"""Records whose check is due: taken, and put off. Inside a transaction."""

import sqlite3
from collections.abc import Sequence

import orjson

from common.jobs.head import Head, is_newer
from common.jobs.indexes import DUE
from common.jobs.put_off import PutOff
from common.store.base import DUE_PUSH_MS
from common.store.interpret import number
from common.store.reading import read_taken
from common.store.sqlite.records import move, read_fields, write_fields

_TAKE = (
    "SELECT job, head FROM entries LEFT JOIN records ON records.id = job"
    " WHERE name = ? AND score <= ? ORDER BY score {order}, job {order} LIMIT ?"
)


def take(database: sqlite3.Connection, limit: int, now: int) -> list[Head]:
    asked = (DUE, now, limit)
    rows = database.execute(_TAKE.format(order="ASC"), asked).fetchall()
    if len(rows) == limit:
        # More are due: the latest are taken, too, so that none stands behind all the others.
        rows = list(dict([*rows, *database.execute(_TAKE.format(order="DESC"), asked)]).items())
    for job_id, head in rows:
        move(database, job_id, {DUE: None if head is None else float(now + DUE_PUSH_MS)})
    return read_taken(orjson.loads(head) for _, head in rows if head is not None)


def put_off(database: sqlite3.Connection, looks: Sequence[PutOff]) -> None:
    for each in looks:
        fields = read_fields(database, each.job_id)
        if fields is None or number(fields, "version") != each.version or is_newer(fields):
            continue
        checks = number(fields, "checks") + 1
        write_fields(database, each.job_id, {**fields, "checks": checks})
        move(database, each.job_id, {DUE: float(each.at)})
