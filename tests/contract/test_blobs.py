"""What every place for blobs does alike."""

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import AsyncIterator
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from common.blobs import folder
from common.blobs.base import UNFINISHED, Blob, BlobStore, blob_name, in_pieces, whole
from common.blobs.objects.store import ObjectBlobs
from common.blobs.open import open_blobs
from common.errors import BlobsUnreachableError, NotFoundError
from common.jobs.ids import new_job_id
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

LARGE = 20 * 1024 * 1024 + 7  # more than two requests of an upload


class CutOffError(Exception):
    """What comes in breaks off."""


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    folder = f"file://{tmp_path / 'blobs'}"
    url = folder if request.param == "folder" else request.getfixturevalue("s3")
    opened = open_blobs(url)
    assert opened is not None
    return opened


@pytest.fixture
def job() -> str:
    return new_job_id(1_795_000_000_000)


async def names(blobs: BlobStore, job: str = "") -> set[str]:
    return {each.name async for each in blobs.list(job)}


@pytest.mark.parametrize("size", [0, 1, 300_000, LARGE])
async def test_what_was_put_comes_back_whole_under_its_hash(
    blobs: BlobStore, job: str, size: int
) -> None:
    raw = os.urandom(size)
    blob = await blobs.put(job, in_pieces(raw))
    assert (blob.sha256, blob.size) == (hashlib.sha256(raw).hexdigest(), size)
    assert await whole(blobs, job, blob) == raw
    assert await names(blobs) == {blob_name(job, blob.sha256)}


async def test_a_range_is_its_bytes_and_no_others(blobs: BlobStore, job: str) -> None:
    raw = os.urandom(3_000_000)
    name = blob_name(job, (await blobs.put(job, in_pieces(raw))).sha256)
    for start, end in ((0, 1), (7, 7), (999_999, 2_500_001), (2_999_999, 3_000_000)):
        assert b"".join([piece async for piece in blobs.get(name, start, end)]) == raw[start:end]


@pytest.mark.parametrize("size", [5, LARGE])
async def test_what_breaks_off_on_the_way_in_is_no_blob(
    blobs: BlobStore, job: str, size: int
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        async for piece in in_pieces(os.urandom(size)):
            yield piece
        raise CutOffError

    with pytest.raises(CutOffError):
        await blobs.put(job, broken())
    assert await names(blobs) == set()


async def test_nobody_sees_a_blob_before_it_is_whole(blobs: BlobStore, job: str) -> None:
    seen: list[set[str]] = []

    async def watched() -> AsyncIterator[bytes]:
        async for piece in in_pieces(os.urandom(LARGE)):
            seen.append(await names(blobs, job))
            yield piece

    await blobs.put(job, watched())
    assert len(seen) == 21
    assert not set().union(*seen)
    assert len(await names(blobs, job)) == 1


async def test_the_same_content_of_two_jobs_is_two_blobs(blobs: BlobStore, job: str) -> None:
    other = new_job_id(1_795_000_000_001)
    one, two = await blobs.put(job, in_pieces(b"x")), await blobs.put(other, in_pieces(b"x"))
    await blobs.delete(blob_name(job, one.sha256))
    assert await names(blobs) == {blob_name(other, two.sha256)}
    assert await whole(blobs, other, two) == b"x"


async def test_the_same_blob_put_twice_is_one(blobs: BlobStore, job: str) -> None:
    assert await blobs.put(job, in_pieces(b"x")) == await blobs.put(job, in_pieces(b"x"))
    assert len(await names(blobs, job)) == 1


async def test_what_was_deleted_is_gone_and_may_be_deleted_again(
    blobs: BlobStore, job: str
) -> None:
    blob = await blobs.put(job, in_pieces(b"x"))
    for _ in range(2):
        await blobs.delete(blob_name(job, blob.sha256))
    assert await names(blobs) == set()
    with pytest.raises(NotFoundError):
        await whole(blobs, job, blob)


async def test_a_list_tells_whose_and_how_old(blobs: BlobStore, job: str) -> None:
    before = time.time()
    await blobs.put(job, in_pieces(b"x"))
    await blobs.put(new_job_id(1_795_000_000_001), in_pieces(b"y"))
    [listed] = [each async for each in blobs.list(job)]
    assert listed.holder == job
    assert abs(listed.changed_at - before) < 60
    assert len(await names(blobs)) == 2


@pytest.mark.parametrize("job_id", ["../../etc", "", "u" * 22])
def test_a_name_leads_nowhere_else(job_id: str) -> None:
    with pytest.raises(ValueError, match="no blob has the name"):
        blob_name(job_id, "0" * 64)


async def test_what_a_crash_left_unfinished_is_listed_as_no_blob(tmp_path: Path) -> None:
    left = tmp_path / "blobs" / UNFINISHED / "0f"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    blobs = open_blobs(f"file://{tmp_path / 'blobs'}")
    assert blobs is not None
    [listed] = [each async for each in blobs.list()]
    assert (listed.name, listed.holder) == (f"{UNFINISHED}/0f", UNFINISHED)


async def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path, job: str) -> None:
    (tmp_path / "blobs").write_text("a file")
    blobs = open_blobs(f"file://{tmp_path / 'blobs'}")
    assert blobs is not None
    with pytest.raises(BlobsUnreachableError, match="blobs"):
        await blobs.put(job, in_pieces(b"x"))


@pytest.mark.parametrize("right", [True, False])
async def test_a_digest_that_is_known_before_changes_nothing(
    blobs: BlobStore, job: str, *, right: bool
) -> None:
    body = b"0123456789abcdef" * 1_000_000

    async def digest() -> str:
        return hashlib.sha256(body if right else b"another").hexdigest()

    blob = await blobs.put(job, in_pieces(body), digest=digest)
    assert blob == Blob(sha256=hashlib.sha256(body).hexdigest(), size=len(body))
    assert [each.name async for each in blobs.list()] == [blob_name(job, blob.sha256)]
    assert await whole(blobs, job, blob) == body


@pytest.mark.parametrize("size", [300_000, LARGE])
async def test_what_is_put_is_read_twice_only_where_that_saves_a_copy(
    blobs: BlobStore, job: str, size: int
) -> None:
    asked = []
    body = os.urandom(size)

    async def digest() -> str:
        asked.append(size)
        return hashlib.sha256(body).hexdigest()

    await blobs.put(job, in_pieces(body), digest=digest)
    assert len(asked) == (size == LARGE and isinstance(blobs, ObjectBlobs))


async def test_a_file_is_not_closed_under_the_thread_that_writes_it(
    tmp_path: Path, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes, goes_on, closed = threading.Event(), threading.Event(), []

    def slow(file: FileIO, *_: Any) -> None:
        writes.set()
        goes_on.wait(10)
        closed.append(file.closed)

    monkeypatch.setattr(folder, "_write", slow)
    blobs = folder.FolderBlobs(tmp_path)
    putting = asyncio.create_task(blobs.put(job, in_pieces(b"x")))
    await asyncio.to_thread(writes.wait, 10)
    putting.cancel()
    await asyncio.wait({putting}, timeout=0.1)
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await putting
    await until(lambda: bool(closed))
    assert closed == [False]
    assert await names(blobs) == set()
