"""Sessions and the notes left in them, as rows. Inside a transaction; old rows go with new ones."""

import sqlite3
from collections.abc import Mapping, Sequence

from common.store.base import Timings
from common.store.sessions import SEEN_WITHIN, Session
from common.wire import dump_json, load_json


def create(
    database: sqlite3.Connection, session: Session, limit: int, now: int, timings: Timings
) -> bool:
    database.execute("DELETE FROM sessions WHERE seen_at <= ?", (now - timings.session_ms,))
    (count,) = database.execute("SELECT count(*) FROM sessions").fetchone()
    if count >= limit:
        return False
    said = dump_json([session.caller, session.version, session.client, session.capabilities])
    database.execute(
        "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)", (session.id, said, None, now, now)
    )
    return True


def read(
    database: sqlite3.Connection, session_id: str, now: int, timings: Timings
) -> Session | None:
    row = database.execute(
        "SELECT said, level, created_at, seen_at FROM sessions WHERE id = ? AND seen_at > ?",
        (session_id, now - timings.session_ms),
    ).fetchone()
    if row is None:
        return None
    said, level, created_at, seen_at = row
    caller, version, client, capabilities = load_json(said)
    return Session(
        id=session_id,
        caller=caller,
        version=version,
        client=client,
        capabilities=capabilities,
        log_level=level,
        created_at=created_at,
        seen_at=seen_at,
    )


def is_stale(session: Session | None, now: int, timings: Timings) -> bool:
    """Whether asking for it has to be written down as a sign of life."""
    return session is not None and now - session.seen_at >= timings.session_ms // SEEN_WITHIN


def saw(
    database: sqlite3.Connection, session_id: str, now: int, timings: Timings
) -> Session | None:
    """As `read`, with the sign of life."""
    if read(database, session_id, now, timings) is None:
        return None
    database.execute("UPDATE sessions SET seen_at = ? WHERE id = ?", (now, session_id))
    return read(database, session_id, now, timings)


def set_level(
    database: sqlite3.Connection, session_id: str, level: str, now: int, timings: Timings
) -> bool:
    done = database.execute(
        "UPDATE sessions SET level = ? WHERE id = ? AND seen_at > ?",
        (level, session_id, now - timings.session_ms),
    )
    return done.rowcount > 0


def delete(database: sqlite3.Connection, session_id: str, now: int, timings: Timings) -> bool:
    there = read(database, session_id, now, timings) is not None
    database.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
    return there


def leave(
    database: sqlite3.Connection,
    session_id: str,
    name: str,
    body: bytes,
    now: int,
    timings: Timings,
) -> None:
    old = now - timings.session_note_ms
    database.execute("DELETE FROM session_notes WHERE left_at <= ?", (old,))
    database.execute(
        "INSERT OR REPLACE INTO session_notes VALUES (?, ?, ?, ?)", (session_id, name, body, now)
    )


def notes(
    database: sqlite3.Connection,
    session_id: str,
    names: Sequence[str],
    now: int,
    timings: Timings,
) -> Mapping[str, bytes]:
    marks = ", ".join("?" * len(names))
    rows = database.execute(
        "SELECT name, body FROM session_notes WHERE session = ? AND left_at > ?"  # noqa: S608 - marks only
        f" AND name IN ({marks})",
        (session_id, now - timings.session_note_ms, *names),
    )
    return {name: bytes(body) for name, body in rows}
