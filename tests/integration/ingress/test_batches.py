"""`/v1/batches` over a real server and both kinds of place; the test itself is the worker."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from common.jobs.transitions import CALL
from ingress.batches.results import FEW, LITTLE, PAGE, more_or_few
from tests.support.batch_desk import ROWS, BatchDesk
from tests.support.documents import Shelf, open_shelf
from tests.support.surfaces import Surface, surface
from tests.support.system import Place

pytestmark = pytest.mark.anyio


async def test_rows_become_jobs_only_as_others_end(desk: BatchDesk) -> None:
    begun = await desk.begin(ROWS, in_flight=2, priority=7)
    batch = begun["id"]
    assert (begun["state"], begun["rows"], begun["in_flight"]) == ("running", 6, 2)
    seen = await desk.until(batch, created=2)
    assert await desk.open_rows(batch) == [1, 2]
    assert seen["counts"]["waiting"] == 6
    job = (await desk.http.get(f"/v1/jobs/{batch}.1")).json()
    assert (job["state"], job["priority"], job["caller"]) == ("queued", 7, "local")
    await desk.run(batch, 2)
    await desk.until(batch, created=3)
    assert await desk.open_rows(batch) == [1, 3]
    await desk.run_all(batch)
    over = await desk.look(batch)
    assert (over["state"], over["created"], over["ends_in"]) == ("completed", 6, None)
    assert over["counts"] == {
        **dict.fromkeys(("waiting", "tool_error", "failed", "cancelled", "lost", "dead"), 0),
        "refused": 0,
        "completed": 6,
    }
    assert over["finished_at"] > over["created_at"]
    assert over["rate"] > 0


async def test_of_results_that_may_be_large_a_few_are_in_memory(
    desk: BatchDesk, anywhere: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a place for blobs the records keep them, whatever their size."""
    store, under_way, most = anywhere.runtime.store, 0, 0
    part = store.part

    async def counted(*asked: Any) -> bytes | None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await part(*asked)
        finally:
            under_way -= 1

    batch = (await desk.begin(ROWS, in_flight=6))["id"]
    await desk.until(batch, created=6)
    await desk.run_all(batch)
    monkeypatch.setattr(store, "part", counted)
    assert [each["row"] for each in await desk.results(batch)] == [1, 2, 3, 4, 5, 6]
    assert anywhere.runtime.blobs is None
    assert most == FEW
    assert (more_or_few(FEW, LITTLE), more_or_few(PAGE, LITTLE)) == (2 * FEW, PAGE)
    assert more_or_few(PAGE, LITTLE + 1) == FEW


async def test_results_come_in_either_order_and_go_on_after_what_was_had(desk: BatchDesk) -> None:
    batch = (await desk.begin(ROWS, in_flight=6))["id"]
    await desk.until(batch, created=6)
    await desk.run(batch, 3, 1)
    assert [each["row"] for each in await desk.results(batch)] == [1]  # 2 has not ended
    ended = await desk.results(batch, order="ended")
    assert [each["row"] for each in ended] == [3, 1]
    await desk.run(batch, 2, 6, 5, 4)
    assert [each["row"] for each in await desk.results(batch, after=1, limit=3)] == [2, 3, 4]
    more = await desk.results(batch, order="ended", after=ended[-1]["at"])
    assert [each["row"] for each in more] == [2, 6, 5, 4]
    first = (await desk.results(batch))[0]
    assert first == {
        "row": 1,
        "id": f"{batch}.1",
        "state": "completed",
        "result": {"content": [{"type": "text", "text": "row 1"}]},
        "tool_error": False,
    }


async def test_who_follows_has_each_row_once_until_the_end(desk: BatchDesk) -> None:
    batch = (await desk.begin(ROWS, in_flight=2))["id"]
    following = asyncio.create_task(desk.results(batch, follow="true"))
    await desk.run_all(batch)
    assert [each["row"] for each in await following] == [1, 2, 3, 4, 5, 6]


async def test_a_broken_row_is_named_by_its_line_while_the_rest_runs(desk: BatchDesk) -> None:
    rows = ['{"rows": 1}', "", "{rows: 2}", "[3]", '{"rows": "four"}', '{"rows": 5}']
    batch = (await desk.begin(rows))["id"]
    assert await desk.run_all(batch) == [1, 5]
    over = await desk.look(batch)
    assert (over["rows"], over["created"]) == (5, 2)
    assert (over["counts"]["refused"], over["counts"]["completed"]) == (3, 2)
    said = {each["row"]: each for each in await desk.results(batch)}
    assert {row: each["state"] for row, each in said.items() if row in {2, 3, 4}} == {
        2: "refused",
        3: "refused",
        4: "refused",
    }
    assert said[2]["error"]["message"] == "line 3: not JSON"
    assert said[3]["error"]["message"] == "line 4: not a JSON object"
    assert said[4]["error"]["message"].startswith(
        "line 5: Invalid arguments for b__export: at rows"
    )
    assert {each["error"].partition(":")[0] for each in over["errors"]} == {
        "line 3",
        "line 4",
        "line 5",
    }
    jobs = (await desk.http.get("/v1/jobs")).json()["jobs"]
    assert {job["id"] for job in jobs} == {f"{batch}.1", f"{batch}.5"}


async def test_a_csv_is_read_by_the_tools_schema(desk: BatchDesk) -> None:
    raw = '\ufeffrows,note\r\n1,"two\nlines, one cell"\r\n2,\r\nmany,x\r\n4,y,z\r\n'
    batch = (await desk.begin_raw(raw, "text/csv; charset=utf-8"))["id"]
    assert await desk.run_all(batch) == [1, 2]
    given = [await arguments(desk, f"{batch}.{row}") for row in (1, 2)]
    assert given == [{"rows": 1, "note": "two\nlines, one cell"}, {"rows": 2}]
    said = [each["error"]["message"] for each in await desk.results(batch, after=2)]
    assert said[0].startswith("line 5: Invalid arguments")
    assert said[1] == "line 6: 3 cells, and 2 columns have a name"


async def arguments(desk: BatchDesk, job: str) -> Any:
    raw = await desk.surface.runtime.store.part(job, CALL)
    assert raw is not None
    return orjson.loads(raw)["arguments"]


async def test_errors_are_counted_by_their_words(desk: BatchDesk) -> None:
    batch = (await desk.begin([*ROWS, "x"]))["id"]
    await desk.until(batch, created=6)
    await desk.run(batch, 5, 2, fails=True)
    seen = await desk.look(batch)
    assert seen["errors"] == [
        {"error": "the backend went away", "count": 2, "rows": [2, 5]},
        {"error": "line 7: not JSON", "count": 1, "rows": [7]},
    ]


async def test_the_most_frequent_errors_are_told_of_however_many_there_are(
    desk: BatchDesk,
) -> None:
    broken = ["1" + ",2" * n for n in range(1, 41)]  # each in words of its own
    lines = ["rows", *broken[:20], "x,y", *broken[20:], "x,y"]
    batch = (await desk.begin_raw("\n".join(lines), "text/csv"))["id"]
    over = await desk.until_over(batch)
    told = "2 cells, and 1 columns have a name"
    assert over["errors"][0] == {"error": told, "count": 3, "rows": [1, 21, 42]}
    assert len(over["errors"]) == 21
    assert over["errors"][-1]["error"] == "other errors"
    assert sum(each["count"] for each in over["errors"]) == 42


async def test_values_make_no_errors_of_their_own(desk: BatchDesk) -> None:
    batch = (await desk.begin([{"rows": f"many {n}"} for n in range(40)]))["id"]
    (error,) = (await desk.until_over(batch))["errors"]
    assert (error["count"], "many" in error["error"]) == (40, False)
    assert error["error"].startswith("Invalid arguments for b__export: at rows: it is not of type")


async def test_the_same_key_is_the_same_batch_and_no_other(desk: BatchDesk) -> None:
    desk.headers["idempotency-key"] = "nightly"
    first = await desk.begin(ROWS)
    assert (await desk.begin(ROWS))["id"] == first["id"]
    assert (await desk.begin(ROWS, in_flight=first["in_flight"]))["id"] == first["id"]
    for query in ({"in_flight": 7}, {"priority": 7}):
        other = await desk.http.post(
            "/v1/batches",
            params={"tool": "b__export", **query},
            content=b"\n".join(map(orjson.dumps, ROWS)),
            headers=desk.headers,
        )
        assert other.json()["type"] == "urn:longhaul:error:idempotency-conflict"
    other = await desk.http.post(
        "/v1/batches?tool=b__export", content=b'{"rows": 9}', headers=desk.headers
    )
    assert other.json()["type"] == "urn:longhaul:error:idempotency-conflict"
    listed = (await desk.http.get("/v1/batches")).json()
    assert ([each["id"] for each in listed["batches"]], listed["cursor"]) == ([first["id"]], None)


async def test_rows_as_json_and_pages_of_batches(desk: BatchDesk) -> None:
    ids = []
    for number in range(3):
        body = {"tool": "b__export", "rows": [{"rows": number}], "in_flight": 1}
        ids.append((await desk.http.post("/v1/batches", json=body)).json()["id"])
    page = (await desk.http.get("/v1/batches", params={"limit": 2})).json()
    rest = (await desk.http.get("/v1/batches", params={"cursor": page["cursor"]})).json()
    found = [each["id"] for each in (*page["batches"], *rest["batches"])]
    assert found == ids[::-1]


async def test_a_batch_is_no_job(desk: BatchDesk) -> None:
    """To end it as one would leave its rows behind, and count it among them."""
    batch = (await desk.begin(ROWS, in_flight=2))["id"]
    await desk.until(batch, created=2)
    for method, path in [
        ("GET", ""),
        ("GET", "/result"),
        ("GET", "/events"),
        ("GET", "/output"),
        ("DELETE", ""),
    ]:
        response = await desk.http.request(method, f"/v1/jobs/{batch}{path}")
        assert response.status_code == 404, path
        assert response.json()["detail"] == f"no job {batch}: it is a batch, at /v1/batches/{batch}"
    seen = await desk.look(batch)
    assert (seen["state"], seen["created"], seen["counts"]["cancelled"]) == ("running", 2, 0)


@pytest.mark.parametrize(
    ("query", "raw", "kind", "status", "name"),
    [
        ({"tool": "nobodys"}, b'{"rows":1}', "application/x-ndjson", 404, "not-found"),
        ({}, b'{"rows":1}', "application/x-ndjson", 422, "invalid-request"),
        ({"tool": "b__export"}, b"\n \n", "application/x-ndjson", 422, "invalid-rows"),
        ({"tool": "b__export"}, b"rows,rows\n1,2\n", "text/csv", 422, "invalid-rows"),
        ({"tool": "b__export"}, b"{}\n" * 9, "application/x-ndjson", 422, "invalid-rows"),
        ({"tool": "b__export"}, b"<rows/>", "text/xml", 400, "malformed"),
        ({}, b'{"tool":"b__export"}', "application/json", 422, "invalid-request"),
        ({"tool": "b__export"}, b"{}\n" * 2_000, "application/x-ndjson", 413, "too-large"),
    ],
)
async def test_what_cannot_be_read_as_a_whole_stores_nothing(
    tmp_path: Path, query: dict[str, str], raw: bytes, kind: str, status: int, name: str
) -> None:
    limits = {"max_rows": 8, "max_size": 4_096}
    async with surface(tmp_path, batches=limits, blob_url=f"file://{tmp_path}/blobs") as made:
        response = await made.http.post(
            "/v1/batches", params=query, content=raw, headers={"content-type": kind}
        )
        assert response.status_code == status
        assert response.json()["type"] == f"urn:longhaul:error:{name}"
        assert (await made.http.get("/v1/batches")).json()["batches"] == []
        blobs = made.runtime.blobs
        assert blobs is not None
        assert [each async for each in blobs.list()] == []


async def test_the_same_again_is_the_same_when_the_default_in_flight_was_changed(
    tmp_path: Path,
) -> None:
    ids = []
    for in_flight in (4, 8):
        async with surface(tmp_path, batches={"in_flight": in_flight}) as made:
            desk = BatchDesk(made, {"idempotency-key": "nightly"})
            ids.append((await desk.begin(ROWS))["id"])
    assert ids[0] == ids[1]


class TestCallers:
    @pytest.fixture
    async def shelf(self, place: Place, tmp_path: Path) -> AsyncIterator[Shelf]:
        async with open_shelf(place, f"file://{tmp_path}/blobs") as opened:
            yield opened

    async def test_a_batch_is_its_callers_and_operators_see_it(self, shelf: Shelf) -> None:
        desks = {who: BatchDesk(shelf.surface, key) for who, key in shelf.keys.items()}
        batch = (await desks["ann"].begin(ROWS, in_flight=1))["id"]
        for who, status in {"ann": 200, "bob": 404, "root": 200}.items():
            headers = desks[who].headers
            for path in (f"/v1/batches/{batch}", f"/v1/batches/{batch}/results"):
                assert (await shelf.http.get(path, headers=headers)).status_code == status, who
            listed = (await shelf.http.get("/v1/batches", headers=headers)).json()["batches"]
            assert [each["id"] for each in listed] == ([batch] if status == 200 else []), who
        bob = desks["bob"].headers
        assert (await shelf.http.delete(f"/v1/batches/{batch}", headers=bob)).status_code == 404
        retry = await shelf.http.post(f"/v1/batches/{batch}/retry", headers=bob)
        assert retry.status_code == 404

    async def test_rows_may_be_a_document_that_the_caller_sees(self, shelf: Shelf) -> None:
        ann, bob = (BatchDesk(shelf.surface, shelf.keys[who]) for who in ("ann", "bob"))
        sha256 = await shelf.kept("ann", b"rows\n1\n2\n")
        body = {"tool": "b__export", "blob": sha256}
        refused = await bob.http.post("/v1/batches", json=body, headers=bob.headers)
        assert refused.status_code == 404
        taken = await ann.http.post("/v1/batches", json=body, headers=ann.headers)
        assert taken.status_code == 202, taken.text
        batch = taken.json()["id"]
        await shelf.delete("ann", sha256)  # the batch has its own
        assert await ann.run_all(batch) == [1, 2]
