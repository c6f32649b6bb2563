"""Rows of a batch that run again, on every store: once for each retry, as room comes."""

from dataclasses import replace

import pytest

from common.errors import CANCELLED
from common.jobs.batch import cancel_batch, finish, retry
from common.jobs.endings import RESULT, cancel, complete, fail
from common.jobs.files import File
from common.jobs.head import Head
from common.jobs.held import release
from common.jobs.rows import is_asked_for, run_again
from common.jobs.state import JobState
from common.jobs.transitions import IllegalMoveError, claim
from common.wire import load_json
from tests.support.batches import ENDINGS, ERROR, a_batch, check_rows, ended_rows, running_row, sums
from tests.support.ledger import RETENTION, Ledger, check_invariants

pytestmark = pytest.mark.anyio


@pytest.fixture
async def batch(ledger: Ledger) -> Head:
    return await a_batch(ledger)


@pytest.mark.parametrize("share", ["tool_error", "failed", "dead", "lost"])
async def test_a_row_runs_again_and_counts_by_its_newest_end(
    ledger: Ledger, batch: Head, share: str
) -> None:
    other = await running_row(ledger, batch, 2)
    row = await running_row(ledger, batch, 1)
    row = await ledger.done(row, ENDINGS[share](row))
    await ledger.done(other, ENDINGS["completed"](other))
    row = await ledger.done(row, run_again(row, in_flight=4, limit=8))
    assert (row.state, row.generation, row.tries) == (JobState.QUEUED, 2, 0)
    await check_invariants(ledger)
    assert await sums(ledger, batch) == {"open": 1, "completed": 1}
    row = await ledger.done(row, claim("w1"))
    assert (row.claims, row.tries) == (2, 1)
    await ledger.done(row, ENDINGS["completed"](row))
    assert await sums(ledger, batch) == {"completed": 2}
    assert await ended_rows(ledger, batch) == [2, 1]  # whoever had its first end has the new
    assert await check_rows(ledger, batch) == 0


async def test_what_its_earlier_end_left_is_not_of_its_next_one(
    ledger: Ledger, batch: Head
) -> None:
    """The files of a run that went wrong are no result of the next; nor is its answer an error."""
    file = File(name="a.csv", media_type="text/csv", size=1, sha256="0" * 64)
    said = b'{"content":[],"isError":true}'
    rows = []
    for number in (1, 2):
        row = await running_row(ledger, batch, number)
        row = await ledger.done(row, complete(row, said, RETENTION, tool_error=True, files=(file,)))
        assert row.files == 1
        rows.append(await ledger.done(row, run_again(row, in_flight=4, limit=8)))
    first, second = rows
    first = await ledger.done(first, claim("w1"))
    first = await ledger.done(first, ENDINGS["completed"](first))
    assert (first.files, first.tool_error) == (0, False)
    second = await ledger.done(second, cancel(second, "enough", RETENTION))
    kept = await ledger.store.part(second.id, RESULT)
    assert kept is not None
    assert load_json(kept) == {"code": CANCELLED, "message": "enough"}


@pytest.mark.parametrize("share", ["completed", "cancelled"])
async def test_other_rows_do_not(ledger: Ledger, batch: Head, share: str) -> None:
    row = await running_row(ledger, batch, 1)
    row = await ledger.done(row, ENDINGS[share](row))
    batch = await ledger.done(batch, retry(batch, lost=True))
    assert not is_asked_for(row, batch)
    with pytest.raises(IllegalMoveError):
        run_again(row, in_flight=4, limit=8)


@pytest.mark.parametrize(("share", "lost"), [("failed", False), ("lost", True)])
async def test_a_retry_is_of_what_went_wrong_before_it(
    ledger: Ledger, batch: Head, share: str, *, lost: bool
) -> None:
    row = await running_row(ledger, batch, 1)
    row = await ledger.done(row, ENDINGS[share](row))
    assert not is_asked_for(row, batch)
    without = await ledger.done(batch, retry(batch, lost=False))
    assert is_asked_for(row, without) is not lost
    batch = await ledger.done(without, retry(without, lost=True))
    assert is_asked_for(row, batch)
    await ledger.until_later_than(batch.rerun_before)
    row = await ledger.done(row, run_again(row, in_flight=4, limit=8))
    row = await ledger.done(row, claim("w1"))
    row = await ledger.done(row, ENDINGS[share](row))
    assert not is_asked_for(row, batch)  # once: that was it


async def test_as_many_are_open_as_may_be(ledger: Ledger, batch: Head) -> None:
    rows = [await running_row(ledger, batch, number) for number in (1, 2, 3)]
    rows = [await ledger.done(row, ENDINGS["failed"](row)) for row in rows]
    for row in rows[:2]:
        await ledger.done(row, run_again(row, in_flight=2, limit=8))
    for limit in (8, None):
        again = run_again(rows[2], in_flight=2, limit=limit)
        assert (await ledger.refused(rows[2], again)).guard == "Room"


async def test_without_room_at_the_broker_it_is_held_until_there_is(
    ledger: Ledger, batch: Head
) -> None:
    rows = [await running_row(ledger, batch, number) for number in (1, 2)]
    rows = [await ledger.done(row, ENDINGS["failed"](row)) for row in rows]
    first = await ledger.done(rows[0], run_again(rows[0], in_flight=4, limit=1))
    again = run_again(rows[1], in_flight=4, limit=1)
    assert (await ledger.refused(rows[1], again)).guard == "Window"
    held = await ledger.done(rows[1], run_again(rows[1], in_flight=4, limit=None))
    assert (held.state, held.generation) == (JobState.HELD, 2)
    assert (await ledger.refused(held, release(held, 1))).guard == "Window"
    await check_invariants(ledger)
    await ledger.done(first, claim("w1"))
    freed = await ledger.done(held, release(held, 1))
    assert (freed.state, freed.generation) == (JobState.QUEUED, 2)
    await check_invariants(ledger)
    freed = await ledger.done(freed, claim("w1"))
    await ledger.done(freed, ENDINGS["completed"](freed))
    assert await sums(ledger, batch) == {"open": 1, "completed": 1}


async def test_nor_does_a_batch_whose_retention_is_over(ledger: Ledger, batch: Head) -> None:
    at_once = replace(RETENTION, completed=1)
    batch = await ledger.done(batch, finish(batch, at_once))
    await ledger.until_later_than(batch.forget_at)
    assert (await ledger.refused(batch, retry(batch, lost=False))).guard == "TimeBefore"


async def test_nor_those_of_no_batch(ledger: Ledger) -> None:
    head = await ledger.claimed()
    head = await ledger.done(head, fail(head, ERROR, RETENTION))
    with pytest.raises(IllegalMoveError):
        run_again(head, in_flight=4, limit=8)


async def test_nor_of_a_batch_that_was_cancelled(ledger: Ledger, batch: Head) -> None:
    row = await running_row(ledger, batch, 1)
    row = await ledger.done(row, ENDINGS["failed"](row))
    await ledger.done(batch, cancel_batch(batch, "enough", RETENTION))
    again = run_again(row, in_flight=4, limit=8)
    assert (await ledger.refused(row, again)).guard == "BatchRuns"
