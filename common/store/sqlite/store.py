"""`SqliteStore`: one file, one writing and one reading thread, for a router on a single machine."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio

from common.clock import Clock
from common.errors import StoreUnreachableError
from common.jobs.change import Change, Done, Note, Refused, Value
from common.jobs.head import Head
from common.jobs.output import OutputRead
from common.jobs.put_off import PutOff
from common.jobs.state import JobState
from common.notifier.base import KEYS_CHANGED, NEWS, ORDERS_CHANGED, Hint
from common.notifier.memory import MemoryNotifier
from common.store.base import CatalogueEntry, Event, Lease, Page, Place, Timings
from common.store.sqlite import due_rows, lease_rows, listings, output_rows, records
from common.store.sqlite.api_keys import SqliteApiKeys
from common.store.sqlite.documents import SqliteDocuments
from common.store.sqlite.schema import open_pair
from common.store.sqlite.sessions import SqliteSessions
from common.store.sqlite.standing import SqliteStandingOrders
from common.store.sqlite.worker import DatabaseThread, Work

ANSWER_WITHIN = 5.0  # seconds

T = TypeVar("T")


class SqliteStore:
    def __init__(
        self,
        writer: DatabaseThread,
        reader: DatabaseThread,
        notifier: MemoryNotifier,
        clock: Clock,
        timings: Timings,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._notifier = notifier
        self._clock = clock
        self._timings = timings
        self.sessions = SqliteSessions(self._write, self._read, self._now, timings)
        self.api_keys = SqliteApiKeys(self._write, self._read, self._now, self._keys_changed)
        self.orders = SqliteStandingOrders(self._write, self._read, self._orders_changed)
        self.documents = SqliteDocuments(self._write, self._read, self._now)

    # --- records

    async def commit(
        self, job_id: str, change: Change, *, version: int, commit_id: str | None = None
    ) -> Done | Refused:
        answer, _ = await self._write(
            lambda database: records.commit(
                database,
                job_id,
                change,
                version=version,
                commit_id=commit_id or secrets.token_hex(6),
                now=self._now(),
                timings=self._timings,
            ),
            then=self._tell,
        )
        return answer

    async def note(self, job_id: str, note: Note) -> bool:
        noted, _ = await self._write(
            lambda database: records.note(database, job_id, note, self._now()), then=self._tell
        )
        return noted

    async def note_many(self, fields: Mapping[str, Mapping[str, Value]]) -> None:
        await self._write(lambda database: records.note_many(database, fields, self._now()))

    async def get(self, job_id: str) -> Head | None:
        return await self._read(lambda database: records.read_head(database, job_id))

    async def part(self, job_id: str, name: str) -> bytes | None:
        return await self._read(lambda database: records.read_part(database, job_id, name))

    async def events(self, job_id: str, *, after: int = 0) -> Sequence[Event]:
        return await self._read(lambda database: records.read_events(database, job_id, after))

    async def output(self, job_id: str, *, after: int, limit: int) -> OutputRead:
        return await self._read(lambda database: output_rows.read(database, job_id, after, limit))

    async def remove(self, job_id: str, *, version: int) -> bool:
        return await self._write(lambda database: records.remove(database, job_id, version))

    async def due(self, limit: int) -> Sequence[Head]:
        return await self._write(lambda database: due_rows.take(database, limit, self._now()))

    async def put_off(self, looks: Sequence[PutOff]) -> None:
        await self._write(lambda database: due_rows.put_off(database, looks))

    async def drop_strays(self, index: str, states: Sequence[JobState], limit: int) -> int:
        return await self._write(
            lambda database: records.drop_strays(database, index, states, limit)
        )

    # --- indexes

    async def page(
        self, index: str, *, limit: int, cursor: str | None = None, newest_first: bool = True
    ) -> Page:
        return await self._read(
            lambda database: listings.page(
                database, index, limit, cursor, newest_first=newest_first
            )
        )

    async def places(
        self,
        index: str,
        *,
        limit: int,
        after: Place | None = None,
        since: float | None = None,
        until: float | None = None,
        newest_first: bool = True,
    ) -> Sequence[Place]:
        span = listings.Span(after=after, since=since, until=until, newest_first=newest_first)
        return await self._read(lambda database: listings.places(database, index, limit, span))

    async def heads(self, job_ids: Sequence[str]) -> Sequence[Head | None]:
        return await self._read(lambda database: listings.heads(database, job_ids))

    async def glances(
        self, job_ids: Sequence[str], fields: Sequence[str]
    ) -> Sequence[Sequence[str] | None]:
        return await self._read(lambda database: listings.glances(database, job_ids, fields))

    async def count(self, index: str) -> int:
        (count,) = await self.counts([index])
        return count

    async def counts(self, indexes: Sequence[str]) -> Sequence[int]:
        return await self._read(lambda database: listings.counts(database, indexes))

    async def rank(self, index: str, job_id: str) -> int | None:
        return await self._read(lambda database: listings.rank(database, index, job_id))

    async def ranks(self, index: str, job_ids: Sequence[str]) -> Sequence[int | None]:
        return await self._read(lambda database: listings.ranks(database, index, job_ids))

    async def score(self, index: str, job_id: str) -> float | None:
        return await self._read(lambda database: listings.score(database, index, job_id))

    async def scores(self, index: str, job_ids: Sequence[str]) -> Sequence[float | None]:
        return await self._read(lambda database: listings.scores(database, index, job_ids))

    async def oldest(self, index: str) -> float | None:
        return await self._read(lambda database: listings.oldest(database, index))

    # --- leases

    async def beat(self, lease: str, info: Mapping[str, Any]) -> None:
        await self._write(
            lambda database: lease_rows.beat(database, lease, info, self._now(), self._timings)
        )

    async def release(self, lease: str) -> None:
        await self._write(lambda database: lease_rows.release(database, lease, self._now()))

    async def gone(self, leases: Sequence[str]) -> Sequence[bool]:
        # On the writing side: who notices silence opens the grace.
        return await self._write(
            lambda database: [
                lease_rows.gone(database, lease, self._now(), self._timings) for lease in leases
            ]
        )

    async def leases(self) -> Sequence[Lease]:
        return await self._read(
            lambda database: lease_rows.listed(database, self._now(), self._timings)
        )

    # --- catalogue

    async def put_catalogue(self, entry: CatalogueEntry) -> bool:
        return await self._write(partial(listings.put_catalogue, entry=entry), then=self._news)

    async def catalogue(self) -> Sequence[CatalogueEntry]:
        return await self._read(listings.catalogue)

    async def forget(self, backend: str) -> bool:
        return await self._write(partial(listings.forget, backend=backend), then=self._news)

    async def now(self) -> int:
        await self._read(lambda database: database.execute("SELECT 1 FROM grace").close())
        return self._now()

    async def fullness(self) -> float:
        """The disk is its limit, and its users' to watch."""
        return 0.0

    async def aclose(self) -> None:
        """Carry out what was asked, then close the file."""
        await self._writer.aclose()
        await self._reader.aclose()

    # --- the way to the threads

    def _now(self) -> int:
        return int(self._clock.now() * 1000)

    async def _write(self, work: Work[T], then: Callable[[T], None] | None = None) -> T:
        return await _answer_of(self._writer.run(work, then))

    async def _read(self, work: Work[T]) -> T:
        return await _answer_of(self._reader.run(work))

    def _tell(self, answer: tuple[object, Sequence[Hint]]) -> None:
        for hint in answer[1]:
            self._notifier.tell(hint.channel, hint.payload)

    def _news(self, changed: bool) -> None:
        if changed:
            self._notifier.tell(NEWS, b"catalogue")

    def _keys_changed(self) -> None:
        self._notifier.tell(NEWS, KEYS_CHANGED)

    def _orders_changed(self) -> None:
        self._notifier.tell(NEWS, ORDERS_CHANGED)


async def _answer_of(operation: Awaitable[T]) -> T:
    try:
        with anyio.fail_after(ANSWER_WITHIN):
            return await operation
    except TimeoutError:
        raise StoreUnreachableError("the store's disk does not answer") from None


@asynccontextmanager
async def open_sqlite_store(
    path: Path, clock: Clock, notifier: MemoryNotifier, timings: Timings | None = None
) -> AsyncIterator[SqliteStore]:
    """The store in this file; the context ends when everything asked is on the disk.

    Raises:
        UnusableStoreError: The file cannot be this program's store.
    """
    writing, reading = await anyio.to_thread.run_sync(open_pair, path)
    writer = DatabaseThread(writing, "store-writer", writes=True)
    reader = DatabaseThread(reading, "store-reader", writes=False)
    store = SqliteStore(writer, reader, notifier, clock, timings or Timings())
    try:
        yield store
    finally:
        with anyio.CancelScope(shield=True):
            await store.aclose()
