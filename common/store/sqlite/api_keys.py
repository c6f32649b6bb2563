"""`SqliteApiKeys`: a row for each key, and one with the revision that every change replaces."""

import secrets
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from common.api_keys import Role, StoredKey
from common.store.api_keys import KeyTable
from common.store.sqlite.worker import Work

T = TypeVar("T")


class Carry(Protocol):
    """To one of the store's threads."""

    def __call__(self, work: Work[T]) -> Awaitable[T]: ...


class SqliteApiKeys:
    def __init__(
        self, write: Carry, read: Carry, now: Callable[[], int], changed: Callable[[], None]
    ) -> None:
        self._write = write
        self._read = read
        self._now = now
        self._changed = changed

    async def create(self, key: StoredKey, *, life_ms: int = 0) -> bool:
        return self._told(await self._write(lambda database: self._insert(database, key, life_ms)))

    async def revoke(self, name: str) -> bool:
        return self._told(await self._write(lambda database: _delete(database, name)))

    async def read(self, known: str | None = None) -> KeyTable | None:
        return await self._read(lambda database: _read(database, known))

    def _insert(self, database: sqlite3.Connection, key: StoredKey, life_ms: int) -> bool:
        now = self._now()
        ends = now + life_ms if life_ms else 0
        said = (key.name, key.caller, key.role, key.digest, key.shown, now, ends)
        added = database.execute(
            "INSERT OR IGNORE INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?)", said
        ).rowcount
        return _revised(database, changed=added > 0)

    def _told(self, changed: bool) -> bool:
        if changed:
            self._changed()
        return changed


def _delete(database: sqlite3.Connection, name: str) -> bool:
    removed = database.execute("DELETE FROM api_keys WHERE name = ?", (name,)).rowcount
    return _revised(database, changed=removed > 0)


def _revised(database: sqlite3.Connection, *, changed: bool) -> bool:
    if changed:
        revision = secrets.token_hex(8)
        database.execute("INSERT OR REPLACE INTO api_keys_revision VALUES (1, ?)", (revision,))
    return changed


def _read(database: sqlite3.Connection, known: str | None) -> KeyTable | None:
    row = database.execute("SELECT revision FROM api_keys_revision").fetchone()
    revision = "" if row is None else row[0]
    if revision == known:
        return None
    rows = database.execute(
        "SELECT name, caller, role, digest, shown, created_at, expires_at FROM api_keys"
        " ORDER BY name"
    )
    keys = [
        StoredKey(
            name=name,
            caller=caller,
            role=Role(role),
            digest=digest,
            shown=shown,
            created_at=created_at,
            expires_at=expires_at,
        )
        for name, caller, role, digest, shown, created_at, expires_at in rows
    ]
    return KeyTable(revision=revision, keys=keys)
