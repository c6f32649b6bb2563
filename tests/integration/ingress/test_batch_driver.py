"""Who drives batches may be many, may die still, may hear nothing: each row is still one job."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from common.errors import StoreUnreachableError
from common.jobs.change import Due
from common.jobs.head import RECORD_FORMAT
from common.jobs.indexes import ALL, DUE
from common.jobs.state import JobState
from common.reconciler import Reconciler
from common.runtime import Runtime
from ingress.batches.desk import Batches, build_batches
from tests.support.batch_desk import BatchDesk
from tests.support.ledger import touch
from tests.support.surfaces import Surface, surface
from tests.support.system import Place, running
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio


class FailingStore:
    """From its `first` commit on: every other one is done and its reply lost, or it is not done."""

    def __init__(self, store: Any, first: int) -> None:
        self._store = store
        self._left = first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, *words: Any, **more: Any) -> Any:
        self._left -= 1
        if self._left > 0:
            return await self._store.commit(*words, **more)
        if self._left % 2:
            await self._store.commit(*words, **more)
        raise StoreUnreachableError("the reply is lost")


class CountingStore:
    """How many commits are sent to it."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.commits = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, *words: Any, **more: Any) -> Any:
        self.commits += 1
        return await self._store.commit(*words, **more)


def another(made: Surface, runtime: Runtime | None = None) -> Batches:
    """One more ingress's, which nobody wakes."""
    ingress = made.ingress
    return build_batches(
        runtime or made.runtime, ingress.rules, ingress.submit, ingress.headroom, ingress.fleet
    )


async def drive(batches: Batches, batch: str) -> None:
    while await batches.driver.step(batch):
        pass


@pytest.fixture
async def still(place: Place) -> AsyncIterator[Surface]:
    """Its own driver sleeps."""
    where = place.settings().model_dump(include={"broker_url", "store_url", "namespace"})
    async with surface(place.data, still=True, **where) as made:
        yield made


async def test_many_drivers_make_each_row_once(still: Surface) -> None:
    desk = BatchDesk(still)
    batch = (await desk.begin([{"rows": n} for n in range(1, 41)], in_flight=8))["id"]
    drivers = [another(still) for _ in range(4)]
    ran: list[int] = []
    while (await desk.look(batch))["state"] == "running":
        await asyncio.gather(*(drive(each, batch) for each in drivers))
        rows = await desk.open_rows(batch)
        assert len(rows) <= 8
        await desk.run(batch, *rows)
        ran += rows
    assert sorted(ran) == list(range(1, 41))
    assert sorted(await desk.ended(batch)) == list(range(1, 41))


async def test_of_two_who_drive_one_leaves_most_of_it_to_the_other(still: Surface) -> None:
    desk, rows = BatchDesk(still), 200
    stores = [CountingStore(still.runtime.store) for _ in range(2)]
    first, second = (another(still, replace(still.runtime, store=store)) for store in stores)
    async with running(first.run()), running(second.run()):
        batch = (await desk.begin([{"rows": n} for n in range(rows)], in_flight=4))["id"]
        first.driver.wake(batch)
        second.driver.wake(batch)
        assert len(await desk.run_all(batch)) == rows
    assert sum(store.commits for store in stores) < 2.3 * rows  # 3, when both do everything


@pytest.mark.parametrize("first", range(1, 8))
async def test_whoever_dies_in_the_middle_leaves_it_to_the_next(still: Surface, first: int) -> None:
    """Before a row, after it without its token, before the cursor moves, after that."""
    desk = BatchDesk(still)
    batch = (await desk.begin([{"rows": n} for n in range(1, 6)], in_flight=3))["id"]
    for _ in range(2):
        store = FailingStore(still.runtime.store, first)
        dying = another(still, replace(still.runtime, store=store))
        with suppress(StoreUnreachableError):
            await drive(dying, batch)
        await desk.run(batch, *await desk.open_rows(batch))
    heir = another(still)
    while (await desk.look(batch))["state"] == "running":
        await drive(heir, batch)
        await desk.run(batch, *await desk.open_rows(batch))
    assert sorted(await desk.ended(batch)) == [1, 2, 3, 4, 5]
    over = await desk.look(batch)
    assert (over["counts"]["completed"], over["created"]) == (5, 5)
    assert await still.runtime.store.count(ALL) == 5


async def test_without_hints_the_due_sweep_wakes_somebody(still: Surface) -> None:
    desk = BatchDesk(still)
    batch = (await desk.begin([{"rows": 1}, {"rows": 2}], in_flight=1))["id"]
    await drive(still.ingress.batches, batch)
    await desk.run(batch, 1)  # nobody heard
    async with running(still.ingress.batches.run()):
        head = await still.head(batch)
        await still.runtime.store.commit(batch, touch(due=Due(after=0)), version=head.version)

        async def made() -> bool:
            await Reconciler(still.runtime).sweep()
            return await desk.open_rows(batch) == [2]

        assert await until_answered(made)


async def run_down(still: Surface, desk: BatchDesk, batch: str, *, fails: bool) -> list[int]:
    """Drive it and run what waits for a worker, until it is over; the rows in that order."""
    ran: list[int] = []
    window = still.ingress.submit.window
    while (await desk.look(batch))["state"] == "running":
        await drive(still.ingress.batches, batch)
        await window.sweep()
        rows = await desk.open_rows(batch)
        heads = [await still.head(f"{batch}.{row}") for row in rows]
        queued = [
            row for row, head in zip(rows, heads, strict=True) if head.state is JobState.QUEUED
        ]
        assert len(queued) <= window.limit("b")
        await desk.run(batch, *queued, fails=fails)
        ran += queued
    return ran


async def test_what_runs_again_has_no_more_tokens_at_the_broker_than_else(still: Surface) -> None:
    desk, rows = BatchDesk(still), list(range(1, 21))
    batch = (await desk.begin([{"rows": n} for n in rows], in_flight=20))["id"]
    assert sorted(await run_down(still, desk, batch, fails=True)) == rows
    assert (await desk.http.post(f"/v1/batches/{batch}/retry")).status_code == 202
    assert sorted(await run_down(still, desk, batch, fails=False)) == rows
    assert (await desk.look(batch))["counts"]["completed"] == 20


async def test_of_a_retry_as_many_are_open_as_may_be(still: Surface) -> None:
    desk = BatchDesk(still)
    batch = (await desk.begin([{"rows": n} for n in range(1, 13)], in_flight=3))["id"]
    await run_down(still, desk, batch, fails=True)
    await desk.http.post(f"/v1/batches/{batch}/retry")
    drivers = [another(still) for _ in range(4)]
    ran: list[int] = []
    while (await desk.look(batch))["state"] == "running":
        await asyncio.gather(*(drive(each, batch) for each in drivers))
        rows = await desk.open_rows(batch)
        assert len(rows) <= 3
        await desk.run(batch, *rows, fails=True)  # once more, and that is it
        ran += rows
    assert sorted(ran) == list(range(1, 13))


@pytest.mark.parametrize("first", range(1, 6))
async def test_whoever_dies_in_a_retry_leaves_each_row_to_run_once(
    still: Surface, first: int
) -> None:
    desk = BatchDesk(still)
    batch = (await desk.begin([{"rows": n} for n in range(1, 6)], in_flight=3))["id"]
    await run_down(still, desk, batch, fails=True)
    await desk.http.post(f"/v1/batches/{batch}/retry")
    ran: list[int] = []
    for _ in range(2):
        store = FailingStore(still.runtime.store, first)
        dying = another(still, replace(still.runtime, store=store))
        with suppress(StoreUnreachableError):
            await drive(dying, batch)
        rows = await desk.open_rows(batch)
        await desk.run(batch, *rows, fails=True)
        ran += rows
    ran += await run_down(still, desk, batch, fails=True)
    assert sorted(ran) == [1, 2, 3, 4, 5]


async def test_a_row_of_a_newer_release_holds_up_no_cancel(still: Surface) -> None:
    desk = BatchDesk(still)
    batch = (await desk.begin([{"rows": 1}, {"rows": 2}]))["id"]
    await drive(still.ingress.batches, batch)
    await still.commit(f"{batch}.1", touch(fields={"format": RECORD_FORMAT + 1}))
    assert (await desk.http.delete(f"/v1/batches/{batch}")).status_code == 202
    assert (await desk.look(batch))["counts"]["cancelled"] == 1
    assert await desk.open_rows(batch) == [1]


async def test_what_keeps_rows_from_beginning_is_told(tmp_path: Path) -> None:
    async with surface(tmp_path, queues={"b": {"max_waiting": 1}}) as made:
        desk = BatchDesk(made)
        batch = (await desk.begin([{"rows": 1}, {"rows": 2}, {"rows": 3}]))["id"]

        async def told() -> bool:
            return bool((await desk.look(batch))["waiting_because"] == "queue b is full")

        assert await until_answered(told)
        await desk.run_all(batch)
        over = await desk.look(batch)
        assert (over["waiting_because"], over["counts"]["completed"]) == (None, 3)


async def test_rows_go_with_their_batch_and_not_before(tmp_path: Path) -> None:
    kept = {"completed": "1s", "failed": "0s", "dead": "0s", "answered": "0s"}
    async with surface(tmp_path, blob_url=f"file://{tmp_path}/blobs", retention=kept) as made:
        desk, store = BatchDesk(made), made.runtime.store
        large = "x" * made.runtime.settings.inline_limit
        batch = (await desk.begin([{"rows": 1, "note": large}, {"rows": 2}, "x"]))["id"]
        await desk.until(batch, created=2)
        await desk.run(batch, 1, fails=True)
        await Reconciler(made.runtime).sweep()
        assert await store.get(f"{batch}.1") is not None  # its own retention is over
        await desk.run(batch, 2)
        await desk.until_over(batch)
        assert len(await desk.results(batch)) == 3
        blobs = made.runtime.blobs
        assert blobs is not None
        assert {each.holder async for each in blobs.list()} == {batch, f"{batch}.1"}

        async def gone() -> bool:
            head = await store.get(batch)
            if head is not None:
                await store.commit(batch, touch(due=Due(after=0)), version=head.version)
            await Reconciler(made.runtime).sweep()
            return head is None

        assert await until_answered(gone)
        assert await store.count(DUE) == 0
        assert [each async for each in blobs.list()] == []
        assert (await made.http.get(f"/v1/batches/{batch}/results")).status_code == 404
