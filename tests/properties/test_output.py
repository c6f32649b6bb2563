"""A job's output: whoever comes back when, each entry that is kept is read once, in order."""

from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config.urls import sqlite_url
from common.jobs.change import Note
from common.jobs.output import OUTPUT_ENTRIES, Appended, encode_text
from tests.support.ledger import Ledger, open_ledger
from tests.support.namespaces import Namespace, remove
from tests.support.servers import Shared

# So many said at once; a note that came twice; a page read; one whose answer was lost on the way.
says = st.tuples(st.just("say"), st.integers(1, 900))
repeats = st.tuples(st.just("repeat"), st.just(0))
reads = st.tuples(st.just("read"), st.integers(1, 700))
lost = st.tuples(st.just("lose"), st.integers(1, 700))
histories = st.lists(says | repeats | reads | lost, max_size=20)
History = list[tuple[str, int]]


@given(histories)
@settings(max_examples=25, deadline=None)
def test_on_sqlite(history: History) -> None:
    with TemporaryDirectory() as folder:
        anyio.run(live, sqlite_url(Path(folder) / "longhaul.db"), "lh", history)


@given(histories)
@settings(max_examples=25, deadline=None)
def test_on_redis(redis_server: Shared, history: History) -> None:
    namespace = Namespace.fresh()
    anyio.run(live, redis_server.url, namespace, history)
    remove(namespace, broker=None, store=redis_server.url)


async def live(url: str, namespace: str, history: History) -> None:
    async with open_ledger(url, namespace) as ledger:
        await Life(ledger, (await ledger.claimed()).id).through(history)


class Life:
    def __init__(self, ledger: Ledger, job: str) -> None:
        self._store = ledger.store
        self._job = job
        self._said = 0  # entries, each with its number as text
        self._marks: Iterator[int] = count(1)
        self._note = Note(claim=1)
        self._cursor = 0
        self._read: list[int] = []
        self._missed = 0

    async def through(self, history: History) -> None:
        for step, size in [*history, ("read", self._said + 20_000)]:
            match step:
                case "say":
                    await self._say(size)
                case "repeat":
                    assert await self._store.note(self._job, self._note)
                case "read":
                    self._take(await self._page(size))
                case _:
                    await self._page(size)
        assert all(later > earlier for earlier, later in pairwise(self._read))
        assert len(self._read) + self._missed == self._said == self._cursor

    async def _say(self, size: int) -> None:
        numbers = range(self._said + 1, self._said + size + 1)
        entries = tuple(entry for number in numbers for entry in encode_text(str(number)))
        said = Appended(mark=f"1.{next(self._marks)}", entries=entries)
        self._note = Note(claim=1, output=said)
        assert await self._store.note(self._job, self._note)
        self._said += size

    async def _page(self, limit: int) -> list[int]:
        """As it must be: what follows the cursor and is kept, no more than asked for."""
        first = max(self._cursor, self._said - OUTPUT_ENTRIES) + 1
        read = await self._store.output(self._job, after=self._cursor, limit=limit)
        numbers = [entry.number for entry in read.entries]
        assert numbers == list(range(first, self._said + 1))[:limit]
        assert [entry.text for entry in read.entries] == [str(number) for number in numbers]
        assert read.last == self._said
        return numbers

    def _take(self, numbers: list[int]) -> None:
        if numbers:
            self._missed += numbers[0] - self._cursor - 1
            self._read += numbers
            self._cursor = numbers[-1]
