"""Whatever is sent twice, too late or by two: each row is one job and counts exactly once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config.urls import sqlite_url
from common.jobs.batch import refuse
from common.jobs.change import Change, Done
from common.jobs.endings import bury, cancel, complete, fail, let_go, lose, owner_died
from common.jobs.head import Head
from common.jobs.held import release
from common.jobs.ids import row_id
from common.jobs.rows import run_again
from common.jobs.transitions import IllegalMoveError, claim, retry
from tests.support.batches import a_batch, a_row, check_rows, ended_rows, rows_of, sums
from tests.support.ledger import RETENTION, Ledger, check_invariants, open_ledger
from tests.support.namespaces import Namespace, remove
from tests.support.servers import Shared

ROWS = 3
ERROR = {"code": 1, "message": "no"}
MOVES: tuple[Callable[[Head], Change], ...] = (
    lambda _: claim("w1"),
    lambda head: complete(head, b"{}", RETENTION, tool_error=False),
    lambda head: complete(head, b"{}", RETENTION, tool_error=True),
    lambda head: fail(head, ERROR, RETENTION),
    lambda head: bury(head, ERROR, RETENTION),
    lambda head: cancel(head, "enough", RETENTION),
    lambda head: lose(head, "it died", RETENTION, seen_gone=False),
    lambda head: owner_died(head, RETENTION),
    lambda head: let_go(head, RETENTION),
    lambda head: retry(head, 0, ERROR),
    lambda head: run_again(head, in_flight=ROWS, limit=ROWS),
    lambda head: run_again(head, in_flight=ROWS, limit=None),
    lambda head: release(head, ROWS),
)


@dataclass(frozen=True)
class Step:
    """Somebody makes, refuses or moves a row, knowing its state of `stale` commits ago.

    The commit is sent so many `times`, as by one who does not hear the reply.
    """

    kind: str
    row: int
    move: int = 0
    stale: int = 0
    times: int = 1


rows = st.integers(1, ROWS)
times = st.integers(1, 3)
histories = st.lists(
    st.one_of(
        st.builds(Step, st.sampled_from(["make", "refuse"]), rows, times=times),
        st.builds(
            Step,
            st.just("move"),
            rows,
            st.integers(0, len(MOVES) - 1),
            st.sampled_from([0, 0, 0, 1, 2]),
            times,
        ),
    ),
    min_size=1,
    max_size=40,
)


@given(histories)
@settings(max_examples=40, deadline=None)
def test_on_sqlite(history: list[Step]) -> None:
    with TemporaryDirectory() as folder:
        anyio.run(live, sqlite_url(Path(folder) / "longhaul.db"), "lh", history)


@given(histories)
@settings(max_examples=40, deadline=None)
def test_on_redis(redis_server: Shared, history: list[Step]) -> None:
    namespace = Namespace.fresh()
    anyio.run(live, redis_server.url, namespace, history)
    remove(namespace, broker=None, store=redis_server.url)


async def live(url: str, namespace: str, history: list[Step]) -> None:
    async with open_ledger(url, namespace) as ledger:
        batch = await a_batch(ledger, rows=ROWS)
        await ledger.store.beat("w1", {})
        life = Life(ledger, batch)
        for number, step in enumerate(history):
            await life.happen(step, f"c{number}")
        await check_rows(ledger, batch)
        await check_invariants(ledger)
        records = await rows_of(ledger, batch)
        assert sum((await sums(ledger, batch)).values()) == len(records) == len(life.made)
        had = {row.id for row in records if row.finished_at}
        assert len(await ended_rows(ledger, batch)) >= len(had)


class Life:
    def __init__(self, ledger: Ledger, batch: Head) -> None:
        self._ledger = ledger
        self._batch = batch
        self.made: set[str] = set()
        self._seen: dict[str, list[Head]] = {}

    async def happen(self, step: Step, commit_id: str) -> None:
        job = row_id(self._batch.id, step.row)
        change, version = self._change(step, job)
        if change is None:
            return
        answers = [
            await self._ledger.store.commit(job, change, version=version, commit_id=commit_id)
            for _ in range(step.times)
        ]
        done = [isinstance(answer, Done) for answer in answers]
        assert all(done) or not any(done)
        if done[0]:
            self.made.add(job)
            self._seen.setdefault(job, []).append(await self._ledger.head(job))

    def _change(self, step: Step, job: str) -> tuple[Change | None, int]:
        if step.kind == "make":
            return a_row(self._batch), 0
        if step.kind == "refuse":
            return refuse(self._batch, step.row, "line 1: not JSON", 1_000_000), 0
        known = self._seen.get(job, [])
        if len(known) <= step.stale:
            return None, 0
        head = known[-1 - step.stale]
        try:
            return MOVES[step.move](head), head.version
        except IllegalMoveError:
            return None, 0
