"""Operations on records: a plan carried out, notes, due records, removal. Inside a transaction."""

import sqlite3
from collections.abc import Mapping, Sequence

import orjson

from common.jobs.change import Change, Done, Note, Refused, Room, Value
from common.jobs.checkpoint import CHECKPOINT
from common.jobs.head import Head, decode_head, is_newer
from common.jobs.indexes import DUE, HELD, REPLAYED, is_held_index, memberships
from common.jobs.state import JobState
from common.notifier.base import Hint
from common.store.base import EVENTS_KEPT, Event, Timings
from common.store.interpret import (
    Plan,
    Repeated,
    filled,
    interpret,
    interpret_note,
    number,
)
from common.store.replaying import Fields
from common.store.sqlite import lease_rows, listings, output_rows
from common.wire import dump_json, load_json


class Facts:
    """What guards may know, read inside the commit's own transaction."""

    def __init__(self, database: sqlite3.Connection, now: int, timings: Timings) -> None:
        self._database = database
        self._now = now
        self._timings = timings

    def lease_alive(self, lease: str) -> bool:
        return lease_rows.alive(self._database, lease, self._now, self._timings)

    def lease_gone(self, lease: str) -> bool:
        return lease_rows.gone(self._database, lease, self._now, self._timings)

    def has_room(self, guard: Room) -> bool:
        # Counts no further than the limit: a long queue costs no more than a full one.
        (found,) = self._database.execute(
            "SELECT count(*) FROM"
            " (SELECT 1 FROM entries WHERE name = ? AND score >= ? LIMIT max(0, ?))",
            (guard.index, float("-inf") if guard.at_least is None else guard.at_least, guard.limit),
        ).fetchone()
        return bool(found < guard.limit)

    def highest(self, index: str) -> float:
        (score,) = self._database.execute(
            "SELECT max(score) FROM entries WHERE name = ?", (index,)
        ).fetchone()
        return float(score or 0)

    def due(self, job_id: str) -> float | None:
        row = self._database.execute(
            "SELECT score FROM entries WHERE name = ? AND job = ?", (DUE, job_id)
        ).fetchone()
        return None if row is None else float(row[0])

    def holder(self, key: str) -> str | None:
        row = self._database.execute("SELECT job FROM unique_keys WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def record(self, job_id: str) -> Fields | None:
        return read_fields(self._database, job_id)


def commit(
    database: sqlite3.Connection,
    job_id: str,
    change: Change,
    *,
    version: int,
    commit_id: str,
    now: int,
    timings: Timings,
) -> tuple[Done | Refused, tuple[Hint, ...]]:
    before = read_fields(database, job_id)
    facts = Facts(database, now, timings)
    plan = interpret(
        job_id, before, change, version=version, commit_id=commit_id, now=now, known=facts
    )
    match plan:
        case Refused():
            return plan, ()
        case Repeated():
            return _done(database, job_id, before or {}, change, now), ()
        case Plan():
            _carry_out(database, job_id, plan, change.parts)
            return _done(database, job_id, plan.fields, change, now), plan.hints


def note(
    database: sqlite3.Connection, job_id: str, written: Note, now: int
) -> tuple[bool, tuple[Hint, ...]]:
    before = read_fields(database, job_id)
    noted = None if before is None else interpret_note(before, written, now)
    if noted is None:
        return False, ()
    after, hints = noted
    if after != before:
        write_fields(database, job_id, after)
    if written.checkpoint is not None:
        _write_part(database, job_id, CHECKPOINT, written.checkpoint)
    if written.output is not None:
        tried = number(after, "tries")
        output_rows.append(database, job_id, written.output, tried=tried, now=now)
    return True, hints


def note_many(
    database: sqlite3.Connection, fields: Mapping[str, Mapping[str, Value]], now: int
) -> None:
    for job_id, each in fields.items():
        note(database, job_id, Note(fields=each), now)


def remove(database: sqlite3.Connection, job_id: str, version: int) -> bool:
    fields = read_fields(database, job_id)
    if fields is None or number(fields, "version") != version or is_newer(fields):
        return False
    move(database, job_id, dict.fromkeys((DUE, *memberships(decode_head(fields)))))
    for table, column in (
        ("records", "id"),
        ("parts", "job"),
        ("events", "job"),
        ("unique_keys", "job"),
        ("output", "job"),
        ("output_sums", "job"),
    ):
        database.execute(f"DELETE FROM {table} WHERE {column} = ?", (job_id,))  # noqa: S608 - our names
    return True


def read_fields(database: sqlite3.Connection, job_id: str) -> Fields | None:
    row = database.execute("SELECT head FROM records WHERE id = ?", (job_id,)).fetchone()
    if row is None:
        return None
    fields: Fields = orjson.loads(row[0])
    return fields


def read_head(database: sqlite3.Connection, job_id: str) -> Head | None:
    fields = read_fields(database, job_id)
    return None if fields is None else decode_head(fields)


def read_part(database: sqlite3.Connection, job_id: str, name: str) -> bytes | None:
    row = database.execute(
        "SELECT body FROM parts WHERE job = ? AND name = ?", (job_id, name)
    ).fetchone()
    return None if row is None else bytes(row[0])


def read_events(database: sqlite3.Connection, job_id: str, after: int) -> Sequence[Event]:
    rows = database.execute(
        "SELECT version, at, name, facts FROM events WHERE job = ? AND version > ?"
        " ORDER BY version",
        (job_id, after),
    )
    return [
        Event(number=number, at=at, name=name, facts=load_json(facts))
        for number, at, name, facts in rows
    ]


# --- the writes of a plan


def _carry_out(
    database: sqlite3.Connection, job_id: str, plan: Plan, parts: Mapping[str, bytes]
) -> None:
    write_fields(database, job_id, plan.fields)
    move(database, job_id, {**plan.moves, DUE: plan.due})
    _append(database, job_id, plan.event)
    for letter in plan.letters:
        write_fields(database, letter.job_id, letter.fields)
        move(database, letter.job_id, {REPLAYED: float(letter.event.at)})
        _append(database, letter.job_id, letter.event)
    for name, body in parts.items():
        _write_part(database, job_id, name, body)
    for key in plan.keys:
        database.execute("INSERT OR REPLACE INTO unique_keys VALUES (?, ?)", (key, job_id))


def _append(database: sqlite3.Connection, job_id: str, event: Event) -> None:
    database.execute(
        "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
        (job_id, event.number, event.at, event.name, dump_json(event.facts)),
    )
    if event.number > EVENTS_KEPT:
        database.execute(
            "DELETE FROM events WHERE job = ? AND version <= ?",
            (job_id, event.number - EVENTS_KEPT),
        )


def _write_part(database: sqlite3.Connection, job_id: str, name: str, body: bytes) -> None:
    database.execute("INSERT OR REPLACE INTO parts VALUES (?, ?, ?)", (job_id, name, body))


def write_fields(database: sqlite3.Connection, job_id: str, fields: Fields) -> None:
    database.execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (job_id, orjson.dumps(fields)))


def move(database: sqlite3.Connection, job_id: str, moves: Mapping[str, float | None]) -> None:
    """Two statements however many moves: each one gives up and takes the interpreter lock."""
    out = [name for name, score in moves.items() if score is None]
    into = [(name, job_id, score) for name, score in moves.items() if score is not None]
    if out:
        marks = ", ".join("?" * len(out))
        database.execute(
            f"DELETE FROM entries WHERE job = ? AND name IN ({marks})",  # noqa: S608 - marks only
            (job_id, *out),
        )
    if into:
        marks = ", ".join(["(?, ?, ?)"] * len(into))
        database.execute(
            f"INSERT OR REPLACE INTO entries VALUES {marks}",  # noqa: S608 - marks only
            [value for row in into for value in row],
        )
    for name in moves:
        if is_held_index(name):
            _list_held(database, name)


def drop_strays(
    database: sqlite3.Connection, index: str, states: Sequence[JobState], limit: int
) -> int:
    """Of the highest entries those whose job is gone, or in no such state."""
    dropped = 0
    for _, job_id in listings.places(database, index, limit, listings.Span()):
        fields = read_fields(database, job_id)
        if fields is None or not (is_newer(fields) or fields["state"] in states):
            move(database, job_id, {index: None})
            dropped += 1
    return dropped


def _list_held(database: sqlite3.Connection, name: str) -> None:
    """The indexes of held jobs that have any are listed in one of their own."""
    database.execute("DELETE FROM entries WHERE name = ? AND job = ?", (HELD, name))
    database.execute(
        "INSERT INTO entries SELECT ?, name, 0 FROM entries WHERE name = ? LIMIT 1", (HELD, name)
    )


def _done(
    database: sqlite3.Connection, job_id: str, fields: Fields, change: Change, now: int
) -> Done:
    parts = {
        name: body
        for name in change.returning
        if name != "head" and (body := read_part(database, job_id, name)) is not None
    }
    return Done(
        version=number(fields, "version"),
        now=now,
        head=decode_head(fields) if "head" in change.returning else None,
        counted=_counted(database, fields, change),
        parts=parts,
    )


def _counted(database: sqlite3.Connection, fields: Fields, change: Change) -> int:
    if not change.counting:
        return 0
    (counted,) = database.execute(
        "SELECT EXISTS (SELECT 1 FROM entries WHERE name = ?)", (filled(change.counting, fields),)
    ).fetchone()
    return int(counted)
