"""`SqliteDocuments`: a row for each entry, and one for each content with the place where it is."""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

from common.documents import Document, Visibility
from common.store.documents import Content, DocumentPage, Kept, Removed, cursor_of, read_cursor
from common.store.sqlite.worker import Work

T = TypeVar("T")

_COLUMNS = "sha256, size, owner, name, media_type, visibility, created_at, expires_at"
_BEFORE = "(created_at, sha256, owner) < (?, ?, ?)"
_NEWEST = "ORDER BY created_at DESC, sha256 DESC, owner DESC LIMIT ?"
_AFTER_ALL = (2**62, "", "")


class Carry(Protocol):
    """To one of the store's threads."""

    def __call__(self, work: Work[T]) -> Awaitable[T]: ...


class SqliteDocuments:
    def __init__(self, write: Carry, read: Carry, now: Callable[[], int]) -> None:
        self._write = write
        self._read = read
        self._now = now

    async def put(self, document: Document, *, place: str, life_ms: int = 0) -> Kept:
        now = self._now()
        ends = now + life_ms if life_ms else 0
        return await self._write(lambda database: _put(database, document, place, now, ends))

    async def content(self, sha256: str) -> Content | None:
        return await self._read(lambda database: _content(database, sha256))

    async def page(
        self, reader: str | None, *, limit: int, cursor: str | None = None
    ) -> DocumentPage:
        before = _AFTER_ALL if cursor is None else read_cursor(cursor)
        wanted: list[tuple[str, tuple[str, ...]]] = [("1", ())]
        if reader is not None:
            own = ("visibility = 'own' AND owner = ?", (reader,))
            wanted = [("visibility = 'everyone'", ()), own]

        def read(database: sqlite3.Connection) -> list[Document]:
            return [
                _document(row)
                for which, words in wanted
                for row in database.execute(
                    f"SELECT {_COLUMNS} FROM documents WHERE {which} AND {_BEFORE} {_NEWEST}",  # noqa: S608 - our own words
                    (*words, *before, limit + 1),
                )
            ]

        rows = sorted(await self._read(read), key=lambda each: each.position, reverse=True)
        return DocumentPage(
            documents=rows[:limit],
            cursor=cursor_of(rows[limit - 1]) if len(rows) > limit else None,
        )

    async def remove(self, sha256: str, owner: str) -> Removed | None:
        return await self._write(lambda database: _remove(database, sha256, owner))

    async def expire(self, limit: int) -> Sequence[Removed]:
        now = self._now()

        def work(database: sqlite3.Connection) -> list[Removed]:
            over = database.execute(
                "SELECT sha256, owner FROM documents WHERE expires_at > 0 AND expires_at <= ?"
                " ORDER BY expires_at LIMIT ?",
                (now, limit),
            ).fetchall()
            gone = [_remove(database, sha256, owner) for sha256, owner in over]
            return [each for each in gone if each is not None]

        return await self._write(work)


def _put(database: sqlite3.Connection, new: Document, place: str, now: int, ends: int) -> Kept:
    database.execute("INSERT OR IGNORE INTO contents VALUES (?, ?)", (new.sha256, place))
    was = database.execute(
        "SELECT created_at FROM documents WHERE sha256 = ? AND owner = ?", (new.sha256, new.owner)
    ).fetchone()
    created_at = now if was is None else was[0]
    row = (new.sha256, new.size, new.owner, new.name, new.media_type, str(new.visibility))
    row_in_time = (*row, created_at, ends)
    database.execute(
        "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row_in_time
    )
    found = _place(database, new.sha256)
    return Kept(document=_document(row_in_time), place=found, new=was is None)


def _content(database: sqlite3.Connection, sha256: str) -> Content | None:
    rows = database.execute(
        f"SELECT {_COLUMNS} FROM documents WHERE sha256 = ?",  # noqa: S608 - our own words
        (sha256,),
    ).fetchall()
    if not rows:
        return None
    return Content(place=_place(database, sha256), entries=[_document(row) for row in rows])


def _remove(database: sqlite3.Connection, sha256: str, owner: str) -> Removed | None:
    which = (sha256, owner)
    removed = database.execute("DELETE FROM documents WHERE sha256 = ? AND owner = ?", which)
    if not removed.rowcount:
        return None
    rest = database.execute("SELECT 1 FROM documents WHERE sha256 = ? LIMIT 1", (sha256,))
    if rest.fetchone() is not None:
        return Removed(sha256=sha256, place="")
    place = _place(database, sha256)
    database.execute("DELETE FROM contents WHERE sha256 = ?", (sha256,))
    return Removed(sha256=sha256, place=place)


def _place(database: sqlite3.Connection, sha256: str) -> str:
    (place,) = database.execute("SELECT place FROM contents WHERE sha256 = ?", (sha256,)).fetchone()
    return str(place)


def _document(row: Sequence[Any]) -> Document:
    sha256, size, owner, name, media_type, visibility, created_at, expires_at = row
    return Document(
        sha256=sha256,
        size=size,
        owner=owner,
        name=name,
        media_type=media_type,
        visibility=Visibility(visibility),
        created_at=created_at,
        expires_at=expires_at,
    )
