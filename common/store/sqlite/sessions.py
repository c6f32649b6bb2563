"""`SqliteSessions`: a sign of life is written only now and then, for it waits for the disk."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from common.store.base import Timings
from common.store.sessions import Session
from common.store.sqlite import session_rows as rows
from common.store.sqlite.worker import Work

T = TypeVar("T")


class Carry(Protocol):
    """To one of the store's threads."""

    def __call__(self, work: Work[T]) -> Awaitable[T]: ...


class SqliteSessions:
    def __init__(self, write: Carry, read: Carry, now: Callable[[], int], timings: Timings) -> None:
        self._write = write
        self._read = read
        self._now = now
        self._timings = timings

    async def create(self, session: Session, *, limit: int) -> bool:
        return await self._write(
            lambda database: rows.create(database, session, limit, self._now(), self._timings)
        )

    async def get(self, session_id: str) -> Session | None:
        session = await self._read(
            lambda database: rows.read(database, session_id, self._now(), self._timings)
        )
        if not rows.is_stale(session, self._now(), self._timings):
            return session
        return await self._write(
            lambda database: rows.saw(database, session_id, self._now(), self._timings)
        )

    async def set_level(self, session_id: str, level: str) -> bool:
        return await self._write(
            lambda database: rows.set_level(database, session_id, level, self._now(), self._timings)
        )

    async def delete(self, session_id: str) -> bool:
        return await self._write(
            lambda database: rows.delete(database, session_id, self._now(), self._timings)
        )

    async def leave(self, session_id: str, name: str, body: bytes) -> None:
        await self._write(
            lambda database: rows.leave(
                database, session_id, name, body, self._now(), self._timings
            )
        )

    async def notes(self, session_id: str, names: Sequence[str]) -> Mapping[str, bytes]:
        return await self._read(
            lambda database: rows.notes(database, session_id, names, self._now(), self._timings)
        )
