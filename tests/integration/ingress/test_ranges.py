"""A stored result over HTTP, whole or a range of it, from its record or from a blob."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from common.blobs.base import in_pieces
from common.jobs.endings import complete
from tests.support.surfaces import Surface, surface

pytestmark = pytest.mark.anyio

WHOLE = b'{"content":[{"type":"text","text":"0123456789"}]}'
LARGE = b'"' + b"0123456789abcdef" * 200_000 + b'"'


@pytest.fixture
async def rest(tmp_path: Path) -> AsyncIterator[Surface]:
    async with surface(tmp_path, blob_url=f"file://{tmp_path}/blobs") as made:
        yield made


async def ended(rest: Surface, *, blob: bool) -> str:
    job = str((await rest.submit())["id"])
    head = await rest.start(job)
    where = ""
    if blob:
        assert rest.runtime.blobs is not None
        where = str(await rest.runtime.blobs.put(job, in_pieces(LARGE)))
    raw = b"{}" if blob else WHOLE
    await rest.commit(job, complete(head, raw, rest.retention, tool_error=False, blob=where))
    return job


@pytest.mark.parametrize("blob", [False, True], ids=["record", "blob"])
async def test_whole_and_in_ranges(rest: Surface, *, blob: bool) -> None:
    whole = LARGE if blob else WHOLE
    path = f"/v1/jobs/{await ended(rest, blob=blob)}/result"
    got = await rest.http.get(path)
    assert (got.status_code, got.content) == (200, whole)
    assert got.headers["content-length"] == str(len(whole))
    assert got.headers["etag"] == f'"{hashlib.sha256(whole).hexdigest()}"'
    for wanted, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=7-", 7, len(whole) - 1),
        ("bytes=-5", len(whole) - 5, len(whole) - 1),
        ("bytes=3-99999999999", 3, len(whole) - 1),
    ):
        part = await rest.http.get(path, headers={"range": wanted})
        assert (part.status_code, part.content) == (206, whole[first : last + 1]), wanted
        assert part.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"


@pytest.mark.parametrize("wanted", ["lines=1-2", "bytes=5-3", "bytes=-", "bytes=0-1,4-5", "x"])
async def test_what_is_no_single_range_gets_the_whole(rest: Surface, wanted: str) -> None:
    path = f"/v1/jobs/{await ended(rest, blob=True)}/result"
    got = await rest.http.get(path, headers={"range": wanted})
    assert (got.status_code, got.content) == (200, LARGE)


async def test_a_range_behind_the_end_is_refused_with_the_size(rest: Surface) -> None:
    path = f"/v1/jobs/{await ended(rest, blob=False)}/result"
    got = await rest.http.get(path, headers={"range": "bytes=999-"})
    assert (got.status_code, got.headers["content-range"]) == (416, f"bytes */{len(WHOLE)}")


async def test_a_range_of_another_content_gets_the_whole(rest: Surface) -> None:
    path = f"/v1/jobs/{await ended(rest, blob=False)}/result"
    headers = {"range": "bytes=0-3", "if-range": '"another"'}
    assert (await rest.http.get(path, headers=headers)).content == WHOLE
    headers["if-range"] = (await rest.http.get(path)).headers["etag"]
    assert (await rest.http.get(path, headers=headers)).content == WHOLE[:4]


async def test_a_blob_that_is_gone_is_not_found_before_anything_is_sent(rest: Surface) -> None:
    job = await ended(rest, blob=True)
    blobs: Any = rest.runtime.blobs
    async for each in blobs.list(job):
        await blobs.delete(each.name)
    got = await rest.http.get(f"/v1/jobs/{job}/result")
    assert (got.status_code, got.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("blob", [False, True], ids=["record", "blob"])
async def test_a_head_says_what_a_get_would_and_reads_nothing(rest: Surface, *, blob: bool) -> None:
    path = f"/v1/jobs/{await ended(rest, blob=blob)}/result"
    got, said = await rest.http.get(path), await rest.http.head(path)
    assert (said.status_code, said.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "accept-ranges"):
        assert said.headers[name] == got.headers[name]
    part = await rest.http.head(path, headers={"range": "bytes=0-3"})
    assert (part.status_code, part.headers["content-length"]) == (
        200,
        said.headers["content-length"],
    )


async def test_a_job_says_where_the_whole_of_its_result_is(rest: Surface) -> None:
    large, small = await ended(rest, blob=True), await ended(rest, blob=False)
    whole = (await rest.http.get(f"/v1/jobs/{large}")).json()["whole_result"]
    assert whole == {
        "size": len(LARGE),
        "sha256": hashlib.sha256(LARGE).hexdigest(),
        "path": f"/v1/jobs/{large}/result",
        "uri": f"longhaul://job/{large}/result",
    }
    assert (await rest.http.get(whole["path"])).content == LARGE
    assert (await rest.http.get(f"/v1/jobs/{small}")).json()["whole_result"] is None


async def test_a_submission_says_how_much_of_it_the_job_shows(rest: Surface) -> None:
    for said, kept in (({"preview": 500}, 500), ({"preview": 0}, 0), ({}, -1)):
        job = await rest.submit(**said)
        assert (await rest.head(job["id"])).spec.preview == kept
    refused = await rest.http.post("/v1/jobs", json={"tool": "b__export", "preview": -1})
    assert refused.status_code == 422
