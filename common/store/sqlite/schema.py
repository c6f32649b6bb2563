"""The tables, and how a connection to them is opened."""

import os
import sqlite3
from pathlib import Path

from common.errors import LonghaulError

BUSY_S = 5.0  # another process (a backup) may hold the file for so long

_RECORDS = """
CREATE TABLE records (id TEXT PRIMARY KEY, head BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE parts (job TEXT, name TEXT, body BLOB NOT NULL, PRIMARY KEY (job, name));
CREATE TABLE events (
    job TEXT, version INTEGER, at INTEGER NOT NULL, name TEXT NOT NULL, facts BLOB NOT NULL,
    PRIMARY KEY (job, version)
) WITHOUT ROWID;
CREATE TABLE entries (
    name TEXT, job TEXT, score REAL NOT NULL, PRIMARY KEY (name, job)
) WITHOUT ROWID;
CREATE UNIQUE INDEX entries_in_order ON entries (name, score, job);
CREATE TABLE unique_keys (key TEXT PRIMARY KEY, job TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX unique_keys_of_job ON unique_keys (job);
CREATE TABLE leases (id TEXT PRIMARY KEY, beat_at INTEGER NOT NULL, info BLOB NOT NULL);
CREATE TABLE grace (one INTEGER PRIMARY KEY CHECK (one = 1), until INTEGER NOT NULL);
CREATE TABLE catalogue (
    backend TEXT PRIMARY KEY, digest TEXT NOT NULL, started_at INTEGER NOT NULL, body BLOB NOT NULL
);
"""
_SESSIONS = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY, said BLOB NOT NULL, level TEXT,
    created_at INTEGER NOT NULL, seen_at INTEGER NOT NULL
);
CREATE TABLE session_notes (
    session TEXT, name TEXT, body BLOB NOT NULL, left_at INTEGER NOT NULL,
    PRIMARY KEY (session, name)
);
"""
_API_KEYS = """
CREATE TABLE api_keys (
    name TEXT PRIMARY KEY, caller TEXT NOT NULL, role TEXT NOT NULL, digest TEXT NOT NULL,
    shown TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL
);
CREATE TABLE api_keys_revision (one INTEGER PRIMARY KEY CHECK (one = 1), revision TEXT NOT NULL);
"""
_ORDERS = "CREATE TABLE orders (place TEXT PRIMARY KEY, said BLOB NOT NULL) WITHOUT ROWID;"
_OUTPUT = """
CREATE TABLE output (
    job TEXT, number INTEGER, row BLOB NOT NULL, PRIMARY KEY (job, number)
) WITHOUT ROWID;
CREATE TABLE output_sums (
    job TEXT PRIMARY KEY, last INTEGER NOT NULL, first INTEGER NOT NULL, bytes INTEGER NOT NULL,
    mark TEXT NOT NULL
) WITHOUT ROWID;
"""
_DOCUMENTS = """
CREATE TABLE contents (sha256 TEXT PRIMARY KEY, place TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE documents (
    sha256 TEXT, size INTEGER NOT NULL, owner TEXT, name TEXT NOT NULL, media_type TEXT NOT NULL,
    visibility TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY (sha256, owner)
) WITHOUT ROWID;
CREATE INDEX documents_in_order ON documents (created_at, sha256, owner);
CREATE INDEX documents_seen ON documents (visibility, created_at, sha256, owner);
CREATE INDEX documents_of_owner ON documents (owner, visibility, created_at, sha256);
CREATE INDEX documents_by_end ON documents (expires_at) WHERE expires_at > 0;
"""
FORMATS = (
    _RECORDS,
    _SESSIONS,
    _API_KEYS,
    _ORDERS,
    _OUTPUT,
    _DOCUMENTS,
)  # each adds to the one before it
SCHEMA_VERSION = len(FORMATS)


class UnusableStoreError(LonghaulError):
    """The file cannot be this program's store; the text says what to change."""


def open_pair(path: Path) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """A writing and a reading connection; makes the file and its tables unless they exist.

    Raises:
        UnusableStoreError: A newer Longhaul wrote it, it is no database, or it cannot be opened.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Arguments and results stand in it: for its owner only. SQLite's other files follow it.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        writer = _connect(path)
        _migrate(writer, path)
        reader = _connect(path)
        reader.execute("PRAGMA query_only = ON")
    except (sqlite3.DatabaseError, OSError) as error:
        raise UnusableStoreError(f"the store {path} cannot be used: {error}") from error
    return writer, reader


def _connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode; it may be handed to another thread."""
    connection = sqlite3.connect(
        path, timeout=BUSY_S, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: flush the disk's own cache, too
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise UnusableStoreError(
            f"the store {path} was written by a newer Longhaul (format {version}, this one reads "
            f"{SCHEMA_VERSION}): upgrade Longhaul, or choose another data folder"
        )
    if version < SCHEMA_VERSION:
        steps = "".join(FORMATS[version:])
        connection.executescript(
            f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
        )
