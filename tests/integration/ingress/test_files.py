"""Files of a job over HTTP, whole or a range; a browser is told to save them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.blobs.base import in_pieces
from common.jobs.endings import complete
from common.jobs.files import File
from tests.support.surfaces import Surface, surface
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

PAGE = b"<script>alert(1)</script>" * 100_000


@pytest.fixture
async def rest(tmp_path: Path) -> AsyncIterator[Surface]:
    keys = "ann=key-of-ann"
    headers = {"x-api-key": "key-of-ann"}
    blobs = f"file://{tmp_path}/blobs"
    async with surface(
        tmp_path, headers=headers, blob_url=blobs, listen={"api_keys": keys}
    ) as made:
        yield made


async def with_file(rest: Surface, name: str, media_type: str) -> str:
    job = str((await rest.submit())["id"])
    head = await rest.start(job)
    assert rest.runtime.blobs is not None
    blob = await rest.runtime.blobs.put(job, in_pieces(PAGE))
    file = File(name=name, sha256=blob.sha256, size=blob.size, media_type=media_type)
    change = complete(head, b"{}", rest.retention, tool_error=False, files=(file,))
    await rest.commit(job, change)
    return job


async def test_whole_and_in_ranges(rest: Surface) -> None:
    job = await with_file(rest, "a page é.html", "text/html")
    path = f"/v1/jobs/{job}/files/a%20page%20%C3%A9.html"
    whole = await rest.http.get(path)
    assert (whole.status_code, whole.content) == (200, PAGE), whole.text
    assert whole.headers["content-type"] == "text/html"
    assert whole.headers["content-disposition"].startswith("attachment; filename*=UTF-8''a%20page")
    assert whole.headers["x-content-type-options"] == "nosniff"
    part = await rest.http.get(path, headers={"range": "bytes=9-13"})
    assert (part.status_code, part.content) == (206, PAGE[9:14])
    assert (await rest.http.get(f"/v1/jobs/{job}")).json()["files"] == 1


async def test_an_odd_media_type_is_just_bytes(rest: Surface) -> None:
    job = await with_file(rest, "a", "text/html\r\nset-cookie: a=b")
    got = await rest.http.get(f"/v1/jobs/{job}/files/a")
    assert got.headers["content-type"] == "application/octet-stream"


async def test_what_is_not_there_is_not_found(rest: Surface) -> None:
    job = await with_file(rest, "a", "text/csv")
    for path in (f"{job}/files/b", f"{job}/files/..%2Fa", "0" * 22 + "/files/a"):
        assert (await rest.http.get(f"/v1/jobs/{path}")).status_code == 404


async def test_another_caller_has_no_way_to_it(rest: Surface) -> None:
    job = await with_file(rest, "a", "text/csv")
    key = (await rest.http.post("/v1/keys", json={"name": "carl"})).json()["key"]
    carl = {"x-api-key": key}

    async def known() -> bool:
        return (await rest.http.get("/v1/jobs", headers=carl)).status_code == 200

    await until_answered(known)
    for verb in ("GET", "HEAD"):
        mine = await rest.http.request(verb, f"/v1/jobs/{job}/files/a")
        assert (mine.status_code, mine.headers["content-length"]) == (200, str(len(PAGE)))
        foreign = await rest.http.request(verb, f"/v1/jobs/{job}/files/a", headers=carl)
        assert foreign.status_code == 404
