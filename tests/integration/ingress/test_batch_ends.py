"""How a batch ends, over a real server: run again in part, cancelled, or over for good."""

from pathlib import Path

import pytest

from common.jobs.batch import refuse
from common.jobs.endings import bury
from common.jobs.ids import row_id
from tests.support.batch_desk import ERROR, ROWS, BatchDesk
from tests.support.surfaces import surface

pytestmark = pytest.mark.anyio


async def test_what_failed_runs_again_and_only_that(desk: BatchDesk) -> None:
    batch = (await desk.begin(ROWS, in_flight=6))["id"]
    await desk.until(batch, created=6)
    await desk.run(batch, 1, 3, 5)
    await desk.run(batch, 2, 4, 6, fails=True)
    await desk.until_over(batch)
    before = await desk.results(batch, order="ended")
    again = await desk.http.post(f"/v1/batches/{batch}/retry")
    assert (again.status_code, again.json()["state"]) == (202, "running")
    await desk.until(batch, failed=0)
    assert await desk.open_rows(batch) == [2, 4, 6]
    await desk.run(batch, 4, 2, 6)
    over = await desk.until_over(batch)
    assert (over["counts"]["completed"], over["errors"]) == (6, [])
    more = await desk.results(batch, order="ended", after=before[-1]["at"])
    assert [each["row"] for each in more] == [4, 2, 6]
    assert {each["state"] for each in await desk.results(batch)} == {"completed"}


async def test_while_nothing_ends_it_says_why_its_rows_do_not_begin(desk: BatchDesk) -> None:
    batch = (await desk.begin(ROWS, in_flight=6))["id"]
    waiting = await desk.until(batch, created=6)
    assert waiting["waiting_because"] == "no worker is running"
    await desk.run(batch, 1, 2, 3, 4, 5, 6)
    assert (await desk.until_over(batch))["waiting_because"] is None


async def test_its_end_is_estimated_by_what_ran(desk: BatchDesk) -> None:
    """Broken rows are through at once: by them the others would end at once, too."""
    batch = (await desk.begin([*["broken"] * 60, *ROWS], in_flight=66))["id"]
    begun = await desk.until(batch, refused=60, created=6)
    assert (begun["rate"], begun["ends_in"], begun["counts"]["waiting"]) == (0, None, 6)
    await desk.run(batch, 61, 62)
    seen = await desk.until(batch, completed=2)
    assert 0 < seen["rate"] <= 2
    assert seen["ends_in"] >= 2


async def test_with_nothing_to_run_again_a_batch_stays_as_it_is(desk: BatchDesk) -> None:
    batch = (await desk.begin([*ROWS[:1], "broken"]))["id"]
    await desk.until(batch, created=1)
    await desk.run(batch, 1)
    over = await desk.until_over(batch)
    again = await desk.http.post(f"/v1/batches/{batch}/retry")
    assert (again.status_code, again.json()) == (202, over)


async def test_a_cancel_ends_what_is_open_and_begins_nothing(desk: BatchDesk) -> None:
    batch = (await desk.begin(ROWS, in_flight=2))["id"]
    await desk.until(batch, created=2)
    await desk.run(batch, 1)
    await desk.until(batch, created=3)
    gone = await desk.http.delete(f"/v1/batches/{batch}")
    assert (gone.status_code, gone.json()["state"]) == (202, "cancelled")
    seen = await desk.until(batch, waiting=0)
    assert (seen["counts"]["cancelled"], seen["counts"]["completed"], seen["created"]) == (2, 1, 3)
    assert [each["state"] for each in await desk.results(batch)] == [
        "completed",
        "cancelled",
        "cancelled",
    ]
    assert (await desk.http.delete(f"/v1/batches/{batch}")).status_code == 200
    refused = await desk.http.post(f"/v1/batches/{batch}/retry")
    assert refused.json()["type"] == "urn:longhaul:error:refused"


async def test_what_was_made_behind_a_cancelled_batchs_cursor_has_its_result(
    desk: BatchDesk,
) -> None:
    batch = (await desk.begin([{"rows": n} for n in range(200)], in_flight=1))["id"]
    await desk.until(batch, created=1)
    head = await desk.surface.head(batch)
    row = refuse(head, 120, "line 120: not JSON", 60_000)  # its maker was killed then
    await desk.surface.runtime.store.commit(row_id(batch, 120), row, version=0)
    await desk.http.delete(f"/v1/batches/{batch}")
    await desk.until(batch, waiting=0)
    assert [each["row"] for each in await desk.results(batch)] == [1, 120]


async def test_a_batch_whose_retention_is_over_is_not_run_again(tmp_path: Path) -> None:
    async with surface(tmp_path, retention={"completed": "0s"}) as made:
        desk = BatchDesk(made)
        batch = (await desk.begin(["broken"]))["id"]
        await desk.until_over(batch)
        again = await desk.http.post(f"/v1/batches/{batch}/retry")
        assert again.json()["type"] == "urn:longhaul:error:not-found"


async def test_a_row_that_is_a_dead_letter_is_dropped_with_its_batch_only(desk: BatchDesk) -> None:
    batch = (await desk.begin(ROWS[:1]))["id"]
    await desk.until(batch, created=1)
    head = await desk.surface.start(f"{batch}.1")
    await desk.surface.commit(head.id, bury(head, ERROR, desk.surface.retention))
    over = await desk.until_over(batch)
    assert over["counts"]["dead"] == 1
    assert (await desk.http.get(f"/v1/dead-letters/{head.id}")).status_code == 200
    dropped = await desk.http.delete(f"/v1/dead-letters/{head.id}")
    assert dropped.json()["type"] == "urn:longhaul:error:refused"
    assert [each["state"] for each in await desk.results(batch)] == ["dead"]
