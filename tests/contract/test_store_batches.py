"""A batch and its rows, on every store: each row is one job, and counts exactly once."""

import asyncio
from dataclasses import replace

import pytest

from common.jobs.batch import (
    Cursor,
    Plan,
    advance,
    begin,
    cancel_batch,
    decode_plan,
    finish,
    retry,
    settle_down,
)
from common.jobs.callbacks import LEASE_MS, CallbackState, deliver, is_owed, take
from common.jobs.change import BATCHES, Change, Done, Refused
from common.jobs.endings import cancel
from common.jobs.head import RECORD_FORMAT, Head
from common.jobs.ids import row_id
from common.jobs.indexes import ALL, ALL_BATCHES, batches_index, callback_index, errors_index
from common.jobs.state import JobState
from common.jobs.transitions import CALL, IllegalMoveError
from common.notifier.base import Gap, Hint, ingress_channel
from common.notifier.hints import decode_hint
from tests.support.batches import (
    ENDINGS,
    a_batch,
    a_row,
    check_rows,
    ended_rows,
    open_row,
    refused_row,
    running_row,
    sums,
)
from tests.support.ledger import RETENTION, Ledger, a_job_id, touch

pytestmark = pytest.mark.anyio


@pytest.fixture
async def batch(ledger: Ledger) -> Head:
    return await a_batch(ledger)


class TestTheRecord:
    async def test_it_begins_with_its_plan_and_is_no_job(self, ledger: Ledger) -> None:
        key = "k"
        batch = await a_batch(ledger, rows=7, in_flight=3, key=key)
        assert (batch.state, batch.is_batch, batch.tool) == (
            JobState.RUNNING,
            True,
            "exporter__export",
        )
        assert Cursor.of(batch) == Cursor()
        plan = await ledger.store.part(batch.id, CALL)
        assert plan is not None
        assert decode_plan(plan) == Plan(rows=7, in_flight=3)
        assert await ledger.members(ALL_BATCHES) == {batch.id}
        assert await ledger.members(batches_index("local")) == {batch.id}
        assert await ledger.members(ALL) == set()
        again = begin(a_job_id(), "exporter__export", "local", Plan(rows=7, in_flight=3), key)
        refused = await ledger.store.commit(a_job_id(), again, version=0)
        assert isinstance(refused, Refused)
        assert refused.holder_of_key == batch.id

    async def test_it_ends_only_without_open_rows(self, ledger: Ledger, batch: Head) -> None:
        row = await running_row(ledger, batch, 1)
        assert (await ledger.refused(batch, finish(batch, RETENTION))).guard == "Room"
        await ledger.done(row, ENDINGS["completed"](row))
        ended = await ledger.done(batch, finish(batch, RETENTION))
        assert ended.state is JobState.COMPLETED
        assert await ledger.due_at(ended) == ended.forget_at == ended.finished_at + 1_000_000

    async def test_of_two_who_move_its_cursor_one_does(self, ledger: Ledger, batch: Head) -> None:
        moved = [advance(batch, Cursor(row=row, offset=9)) for row in (3, 5)]
        answers = await asyncio.gather(
            *(ledger.store.commit(batch.id, each, version=batch.version) for each in moved)
        )
        assert sum(isinstance(answer, Done) for answer in answers) == 1

    async def test_a_cancelled_one_takes_no_row_and_settles(
        self, ledger: Ledger, batch: Head
    ) -> None:
        row = await open_row(ledger, batch, 1)
        batch = await ledger.done(batch, cancel_batch(batch, "enough", RETENTION))
        answer = await ledger.store.commit(row_id(batch.id, 2), a_row(batch), version=0)
        assert isinstance(answer, Refused)
        assert answer.guard == "BatchRuns"
        await ledger.done(row, cancel(row, "enough", RETENTION))
        batch = await ledger.done(batch, settle_down(batch))
        assert await ledger.due_at(batch) == batch.forget_at
        with pytest.raises(IllegalMoveError):
            retry(batch, lost=False)

    async def test_a_cancelled_one_is_looked_at_again_when_its_end_was_told(
        self, ledger: Ledger
    ) -> None:
        batch = await a_batch(ledger, callback="https://example.com/")
        await open_row(ledger, batch, 1)  # whoever cancels it may die before this one's turn
        batch = await ledger.done(batch, cancel_batch(batch, "enough", RETENTION))
        batch = await ledger.done(batch, take(batch, 60_000))
        batch = await ledger.done(batch, deliver(batch))
        assert await ledger.due_at(batch) <= await ledger.store.now() + LEASE_MS

    async def test_what_runs_again_takes_back_what_was_owed_for_its_end(
        self, ledger: Ledger
    ) -> None:
        batch = await a_batch(ledger, callback="https://example.com/")
        batch = await ledger.done(batch, finish(batch, RETENTION))
        assert is_owed(batch)
        batch = await ledger.done(batch, retry(batch, lost=False))
        assert (batch.callback, batch.callback_at) == ("", 0)
        assert await ledger.members(callback_index(CallbackState.PENDING)) == set()
        batch = await ledger.done(batch, finish(batch, RETENTION))
        assert await ledger.members(callback_index(CallbackState.PENDING)) == {batch.id}

    async def test_a_newer_releases_takes_no_row_of_ours(self, ledger: Ledger, batch: Head) -> None:
        await ledger.done(batch, touch(fields={"format": RECORD_FORMAT + 1}))
        answer = await ledger.store.commit(row_id(batch.id, 1), a_row(batch), version=0)
        assert isinstance(answer, Refused)
        assert answer.guard == "BatchRuns"


class TestRows:
    @pytest.mark.parametrize("share", ENDINGS)
    async def test_an_end_counts_as_what_it_is(
        self, ledger: Ledger, batch: Head, share: str
    ) -> None:
        row = await running_row(ledger, batch, 1)
        assert await sums(ledger, batch) == {"open": 1}
        await ledger.done(row, ENDINGS[share](row))
        assert await sums(ledger, batch) == {share: 1}
        assert await ended_rows(ledger, batch) == [1]
        assert await check_rows(ledger, batch) == 0

    async def test_a_row_made_twice_is_one_job(self, ledger: Ledger, batch: Head) -> None:
        answers = await asyncio.gather(
            *(ledger.store.commit(row_id(batch.id, 1), a_row(batch), version=0) for _ in range(9))
        )
        assert sum(isinstance(answer, Done) for answer in answers) == 1
        assert await sums(ledger, batch) == {"open": 1}

    async def test_an_end_that_is_sent_again_counts_once(self, ledger: Ledger, batch: Head) -> None:
        row = await running_row(ledger, batch, 1)
        for _ in range(3):
            answer = await ledger.store.commit(
                row.id, ENDINGS["completed"](row), version=row.version, commit_id="c1"
            )
            assert isinstance(answer, Done)
        assert await sums(ledger, batch) == {"completed": 1}
        assert await ended_rows(ledger, batch) == [1]

    async def test_of_two_ends_one_counts(self, ledger: Ledger, batch: Head) -> None:
        row = await running_row(ledger, batch, 1)
        answers = await asyncio.gather(
            *(
                ledger.store.commit(row.id, end(row), version=row.version)
                for end in ENDINGS.values()
            )
        )
        assert sum(isinstance(answer, Done) for answer in answers) == 1
        assert sum((await sums(ledger, batch)).values()) == 1

    async def test_a_loss_that_finishes_after_all_counts_as_that(
        self, ledger: Ledger, batch: Head
    ) -> None:
        row = await running_row(ledger, batch, 1)
        row = await ledger.done(row, ENDINGS["lost"](row))
        await ledger.done(row, ENDINGS["completed"](row))
        assert await sums(ledger, batch) == {"completed": 1}
        assert await ledger.members(errors_index(batch.id)) == set()

    async def test_rows_stand_in_the_order_of_their_ends(self, ledger: Ledger) -> None:
        batch = await a_batch(ledger)
        rows = [await running_row(ledger, batch, number) for number in (1, 2, 3)]
        for row in (rows[2], rows[0], rows[1]):
            await ledger.done(row, ENDINGS["completed"](row))
        await refused_row(ledger, batch, 4, "line 4: not JSON")
        assert await ended_rows(ledger, batch) == [3, 1, 2, 4]

    async def test_a_broken_row_counts_and_is_nobodys_job(
        self, ledger: Ledger, batch: Head
    ) -> None:
        row = await refused_row(ledger, batch, 1, "line 1: not JSON")
        assert (row.state, row.reason) == (JobState.FAILED, "line 1: not JSON")
        assert await sums(ledger, batch) == {"refused": 1}
        assert await ledger.members(ALL) == set()

    async def test_errors_stand_by_their_words(self, ledger: Ledger, batch: Head) -> None:
        for number, share in enumerate(("tool_error", "failed", "tool_error", "completed"), 1):
            row = await running_row(ledger, batch, number)
            await ledger.done(row, ENDINGS[share](row))
        places = await ledger.store.places(errors_index(batch.id), limit=10, newest_first=False)
        heads = await ledger.store.heads([row for _, row in places])
        said = [(head.reason, head.id[-1]) for head in heads if head is not None]
        assert sorted(said) == [
            ("no such dataset", "1"),
            ("no such dataset", "3"),
            ("the backend went away", "2"),
        ]
        assert said[1][0] in {said[0][0], said[2][0]}  # the same ones stand together

    async def test_its_removal_leaves_nothing(self, ledger: Ledger, batch: Head) -> None:
        row = await running_row(ledger, batch, 1)
        row = await ledger.done(row, ENDINGS["failed"](row))
        assert await ledger.store.remove(row.id, version=row.version)
        assert await sums(ledger, batch) == {}
        assert await ended_rows(ledger, batch) == []


@pytest.mark.parametrize("end", ["completed", "failed"])
async def test_who_drives_batches_hears_of_ends_without_the_result(
    ledger: Ledger, batch: Head, end: str
) -> None:
    async with ledger.notifier.listen([ingress_channel(BATCHES)]) as hints:
        assert isinstance(await anext(hints), Gap)
        row = await running_row(ledger, batch, 1)
        change: Change = ENDINGS[end](row)
        await ledger.done(row, replace(change, parts={"result": b'"a long one"'}))
        hint = await anext(hints)
    assert isinstance(hint, Hint)
    heard = decode_hint(hint.payload)
    assert (heard.job, heard.state, heard.result) == (row.id, end, None)
