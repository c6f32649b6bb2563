"""Among 12,000 jobs a listing reads what its bounds allow: counted in entries, records, steps."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from common.config.urls import sqlite_url
from common.jobs.indexes import queue_index
from common.jobs.state import JobState
from common.store.base import JobStore
from common.store.sqlite.store import SqliteStore
from ingress.operations import search
from ingress.operations.letters import Wanted as WantedLetters
from ingress.operations.search import CHUNK, LOOKS, STEPS, WHOLE, Found, Walk, find
from ingress.operations.wanted import Wanted, walk_of
from tests.support.crowd import RARE_CALLER, RARE_ERROR, RARE_TOOL, fill, finished, waiting
from tests.support.ledger import open_ledger
from tests.support.namespaces import Namespace

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
FINISHED, WAITING = 11_000, 1_000
LIMIT = 50
TOOL, CALLER = "exporter__export_0", "key-00000000"
OTHER_TOOL, OTHER_CALLER = "exporter__export_12", "key-00000020"
NOTHING = "no error says this"
STATES = len(JobState)
STEP = 100  # SQLite's instructions between two counts
TIGHT = {"WHOLE": 20, "STEPS": 90, "LOOKS": 40, "CHUNK": 25}  # bounds that this crowd reaches
SMALL = 400  # such steps; a scan of 12,000 entries takes more


@dataclass(slots=True)
class Read:
    """What was read of a store since the last look."""

    rows: dict[str, int] = field(default_factory=dict)  # by the store's method
    steps: int = 0  # of SQLite's machine

    def clear(self) -> None:
        self.rows.clear()
        self.steps = 0


@dataclass(frozen=True, slots=True)
class Crowd:
    store: JobStore
    read: Read

    async def find(self, walk: Walk | None, cursor: str | None = None) -> Found:
        assert walk is not None
        self.read.clear()
        return await find(self.store, walk, limit=LIMIT, cursor=cursor)


def counted(store: JobStore, read: Read) -> None:
    """Its reading methods count the rows that they answer with."""

    def counting(
        name: str, method: Callable[..., Awaitable[Sequence[Any]]]
    ) -> Callable[..., Awaitable[Sequence[Any]]]:
        async def answer(*asked: Any, **named: Any) -> Sequence[Any]:
            rows = await method(*asked, **named)
            read.rows[name] = read.rows.get(name, 0) + len(rows)
            return rows

        return answer

    for name in ("places", "scores", "glances", "heads", "ranks"):
        setattr(store, name, counting(name, getattr(store, name)))
    if isinstance(store, SqliteStore):

        def step() -> int:
            read.steps += 1
            return 0

        store._reader._connection.set_progress_handler(step, STEP)


@pytest.fixture(params=["sqlite", "redis_server"], ids=["sqlite", "redis"])
async def crowd(
    request: pytest.FixtureRequest, namespace: Namespace, tmp_path: Path
) -> AsyncIterator[Crowd]:
    if request.param == "sqlite":
        url = sqlite_url(tmp_path / "longhaul.db")
    else:
        url = request.getfixturevalue(request.param).url
    async with open_ledger(url, namespace) as ledger:
        now = await ledger.store.now()
        assert await fill(ledger.store, finished(FINISHED, now)) == FINISHED
        assert await fill(ledger.store, waiting(WAITING, now)) == WAITING
        read = Read()
        counted(ledger.store, read)
        yield Crowd(ledger.store, read)


async def test_a_listing_reads_no_more_than_its_bounds(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One crowd for all of it: filling is what takes time here."""
    now = await crowd.store.now()
    await one_index(crowd, now)
    await two_indexes(crowd)
    await errors(crowd)
    await positions(crowd)
    with monkeypatch.context() as small:
        for name, bound in TIGHT.items():
            small.setattr(search, name, bound)
        await pages_that_find_nothing(crowd)


async def one_index(crowd: Crowd, now: int) -> None:
    """As many entries as are shown, however many there are, wherever the page begins."""
    middle = now - 3 * 86_400_000
    for indexes, wanted in (
        (1, Wanted()),
        (1, Wanted(state=JobState.COMPLETED)),
        (1, Wanted(state=JobState.COMPLETED, until=middle)),
        (1, Wanted(tool=TOOL, state=JobState.FAILED)),
        (1, Wanted(caller=CALLER, until=middle)),
        (STATES, Wanted(tool=TOOL)),
        (STATES, Wanted(tool=RARE_TOOL, since=middle)),
    ):
        page, cursor = await crowd.find(walk_of(wanted)), None
        assert page.heads, wanted
        for _ in range(3):
            page = await crowd.find(walk_of(wanted), cursor)
            assert crowd.read.rows["places"] <= indexes * (LIMIT + 1), wanted
            assert crowd.read.rows["heads"] <= LIMIT
            assert crowd.read.steps <= SMALL, wanted
            cursor = page.cursor
            if cursor is None:
                break


async def two_indexes(crowd: Crowd) -> None:
    """A small index is taken as a whole; two large ones are walked a while, then comes a cursor."""
    few = await crowd.find(walk_of(Wanted(caller=RARE_CALLER, state=JobState.COMPLETED)))
    assert crowd.read.rows["places"] == await crowd.store.count(f"caller:{RARE_CALLER}")
    assert few.cursor is None
    assert few.heads
    sparse = walk_of(Wanted(caller=CALLER, tool=OTHER_TOOL))
    found, cursor, pages = 0, None, 0
    while True:
        page = await crowd.find(sparse, cursor)
        assert crowd.read.rows["places"] <= STEPS + STATES * CHUNK + WHOLE + 1
        assert crowd.read.rows.get("scores", 0) <= crowd.read.rows["places"] * STATES
        found, cursor, pages = found + len(page.heads), page.cursor, pages + 1
        if cursor is None:
            break
    assert found > 9
    assert pages < 20


async def errors(crowd: Crowd) -> None:
    letters = WantedLetters(error=NOTHING).walk(None)
    for walk in (
        walk_of(Wanted(error=NOTHING)),
        walk_of(Wanted(error=RARE_ERROR)),
        walk_of(Wanted(error=NOTHING, caller=CALLER)),
        letters,
    ):
        page = await crowd.find(walk)
        assert crowd.read.rows.get("glances", 0) <= LOOKS + 5 * CHUNK
        assert page.cursor is None  # 330 have an error


async def positions(crowd: Crowd) -> None:
    """Where fifty jobs stand in their queue costs one pass over it, not fifty."""
    page = await crowd.find(walk_of(Wanted(tool=TOOL, state=JobState.QUEUED)))
    queued = [head.id for head in page.heads]
    crowd.read.clear()
    await crowd.store.rank(queue_index("exporter"), queued[0])
    alone = crowd.read.steps
    crowd.read.clear()
    await crowd.store.ranks(queue_index("exporter"), queued)
    assert crowd.read.steps <= 2 * alone + SMALL


async def pages_that_find_nothing(crowd: Crowd) -> None:
    """They end all the same, and the next one goes on."""
    last = STATES * TIGHT["CHUNK"] // 5  # what is read when the bound is reached
    for wanted, bound in (
        (Wanted(error=NOTHING), TIGHT["LOOKS"]),
        (Wanted(error=NOTHING, caller=CALLER), TIGHT["LOOKS"]),
        (Wanted(caller=CALLER, tool=OTHER_TOOL), TIGHT["STEPS"]),
    ):
        cursor = None
        for _ in range(3):
            page = await crowd.find(walk_of(wanted), cursor)
            assert crowd.read.rows["places"] <= bound + last + TIGHT["WHOLE"] + 1, wanted
            assert page.cursor not in {None, cursor}, wanted
            cursor = page.cursor
