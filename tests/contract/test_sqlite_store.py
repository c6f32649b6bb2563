"""What only the store in a file promises: the file itself, its thread, and a full disk."""

import asyncio
import resource
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from common.clock import SystemClock
from common.errors import StoreUnreachableError
from common.jobs.change import Done
from common.jobs.indexes import ALL, queue_index
from common.jobs.transitions import submit
from common.notifier.memory import MemoryNotifier
from common.store.sessions import Session
from common.store.sqlite.schema import FORMATS, SCHEMA_VERSION, UnusableStoreError
from common.store.sqlite.store import SqliteStore, open_sqlite_store
from common.store.sqlite.worker import DatabaseThread
from tests.support.ledger import SUBMISSION, Ledger, a_job_id, touch

pytestmark = pytest.mark.anyio


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "longhaul.db"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[Ledger]:
    notifier = MemoryNotifier()
    async with open_sqlite_store(path, SystemClock(), notifier) as store:
        yield Ledger(store, notifier)


@pytest.fixture
async def thread(tmp_path: Path) -> AsyncIterator[DatabaseThread]:
    database = sqlite3.connect(tmp_path / "x.db", isolation_level=None, check_same_thread=False)
    database.execute("CREATE TABLE t (x PRIMARY KEY)")
    opened = DatabaseThread(database, "test", writes=True)
    yield opened
    await opened.aclose()


# --- the file


async def test_everything_is_there_when_the_file_is_opened_again(path: Path) -> None:
    async with open_sqlite_store(path, SystemClock(), MemoryNotifier()) as store:
        ledger = Ledger(store, MemoryNotifier())
        await store.beat("w1", {"slots": 2})
        head = await ledger.claimed()
        await ledger.submitted()
    async with open_sqlite_store(path, SystemClock(), MemoryNotifier()) as store:
        assert await store.get(head.id) == head
        assert await store.count(ALL) == 2
        assert await store.count(queue_index("exporter")) == 1
        assert [lease.id for lease in await store.leases()] == ["w1"]


async def test_the_file_is_for_its_owner_only(ledger: Ledger, path: Path) -> None:
    await ledger.submitted()
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert len(modes) == 3
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_file_of_a_newer_longhaul_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with sqlite3.connect(path) as newer:
        newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(UnusableStoreError, match="newer Longhaul"):
        async with open_sqlite_store(path, SystemClock(), MemoryNotifier()):
            pass
    with sqlite3.connect(path) as newer:
        assert newer.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION + 1,)
        assert newer.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)


async def test_a_file_of_an_older_longhaul_gets_what_it_lacks(path: Path) -> None:
    """Format 1 had the records, and nothing that came later."""
    async with open_sqlite_store(path, SystemClock(), MemoryNotifier()) as store:
        job = await Ledger(store, MemoryNotifier()).submitted()
    with sqlite3.connect(path) as older:
        for table in tables_of(older) - tables_of(first_format()):
            older.execute(f"DROP TABLE {table}")
        older.execute("PRAGMA user_version = 1")
    async with open_sqlite_store(path, SystemClock(), MemoryNotifier()) as store:
        assert await store.get(job.id) == job
        session = Session(id="s1", caller="local", version="2025-11-25")
        assert await store.sessions.create(session, limit=1)
        assert not await store.api_keys.revoke("nobody")


def first_format() -> sqlite3.Connection:
    fresh = sqlite3.connect(":memory:")
    fresh.executescript(FORMATS[0])
    return fresh


def tables_of(database: sqlite3.Connection) -> set[str]:
    with closing(database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")) as rows:
        return {name for (name,) in rows}


async def test_what_is_no_database_is_refused_by_name(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("these are my notes, not a database" * 100)
    with pytest.raises(UnusableStoreError, match=r"longhaul\.db"):
        async with open_sqlite_store(path, SystemClock(), MemoryNotifier()):
            pass
    assert path.read_text().startswith("these are my notes")


# --- one thread, many operations


async def test_the_event_loop_goes_on_while_the_file_is_locked(ledger: Ledger, path: Path) -> None:
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(ledger.submitted())
        reads = [await ledger.store.count(ALL) for _ in range(50)]
        assert not waiting.done()
        other.execute("COMMIT")
    assert reads == [0] * 50
    assert (await waiting).version == 1


async def test_an_operation_that_fails_leaves_nothing_and_harms_no_other(
    thread: DatabaseThread,
) -> None:
    with holding(thread) as first:
        others = [
            asyncio.create_task(thread.run(put("a"))),
            asyncio.create_task(thread.run(put("b", "c", "c"))),
            asyncio.create_task(thread.run(put("d"))),
        ]
        await asyncio.sleep(0)
    answers = await asyncio.gather(first, *others, return_exceptions=True)
    assert isinstance(answers[2], sqlite3.IntegrityError)
    assert answers[:2] + answers[3:] == [None, None, None]
    assert await thread.run(rows) == ["a", "d"]


async def test_what_waits_travels_together_and_is_told_even_if_its_caller_left(
    thread: DatabaseThread,
) -> None:
    told: list[str] = []
    with holding(thread) as first:
        left = asyncio.create_task(thread.run(put("left"), lambda _: told.append("left")))
        stayed = asyncio.create_task(thread.run(put("stayed"), lambda _: told.append("stayed")))
        await asyncio.sleep(0)
        left.cancel()
    await asyncio.gather(first, stayed)
    assert told == ["left", "stayed"]
    assert await thread.run(rows) == ["left", "stayed"]
    assert left.cancelled()


async def test_closing_waits_for_what_was_asked(thread: DatabaseThread) -> None:
    with holding(thread) as first:
        asked = [asyncio.create_task(thread.run(put(str(number)))) for number in range(5)]
        await asyncio.sleep(0)
        closing = asyncio.create_task(thread.aclose())
        await asyncio.sleep(0)
    await asyncio.gather(first, *asked, closing)
    with pytest.raises(StoreUnreachableError, match="closed"):
        await thread.run(rows)


@contextmanager
def holding(thread: DatabaseThread) -> Iterator[asyncio.Task[None]]:
    """The thread is busy with an operation until the block ends; what comes meanwhile waits."""
    go = threading.Event()

    def work(_: sqlite3.Connection) -> None:
        assert go.wait(10)

    task = asyncio.create_task(thread.run(work))
    try:
        yield task
    finally:
        go.set()


def put(*values: str) -> Callable[[sqlite3.Connection], None]:
    def work(database: sqlite3.Connection) -> None:
        for value in values:
            database.execute("INSERT INTO t VALUES (?)", (value,))

    return work


def rows(database: sqlite3.Connection) -> list[str]:
    return [value for (value,) in database.execute("SELECT x FROM t ORDER BY x")]


# --- a full disk


async def test_a_full_disk_refuses_and_recovers(ledger: Ledger) -> None:
    head = await ledger.submitted()
    large = touch(parts={"result": b"x" * 1_000_000})
    with file_size_limit(300_000):
        with pytest.raises(StoreUnreachableError):
            await ledger.store.commit(head.id, large, version=1, commit_id="c1")
        assert await ledger.head(head.id) == head
        assert await ledger.store.part(head.id, "result") is None
    answer = await ledger.store.commit(head.id, large, version=1, commit_id="c1")
    assert isinstance(answer, Done)


async def test_a_store_that_is_closed_answers_no_more(path: Path) -> None:
    store: SqliteStore
    async with open_sqlite_store(path, SystemClock(), MemoryNotifier()) as store:
        pass
    with pytest.raises(StoreUnreachableError):
        await store.commit(a_job_id(), submit(SUBMISSION, 0), version=0)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process may grow beyond it: writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
