"""Documents leave nothing: what broke off, what is over, and strays; and no put loses by that."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from typing_extensions import override

from common.blobs.base import UNFINISHED, blob_name, in_pieces
from common.blobs.folder import FolderBlobs
from common.documents import new_place
from common.forgetting import DAY, delete_strays, expire_documents
from tests.support.documents import LIMIT, RAW, Shelf, open_shelf
from tests.support.system import Place
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
async def shelf(place: Place, root: Path) -> AsyncIterator[Shelf]:
    async with open_shelf(place, f"file://{root}") as opened:
        yield opened


class Interrupted(FolderBlobs):
    """Something happens before each deletion."""

    def __init__(self, root: Path, happens: Callable[[], Awaitable[None]]) -> None:
        super().__init__(root)
        self._happens = happens

    @override
    async def delete(self, name: str) -> None:
        await self._happens()
        await super().delete(name)


class TestNothingIsLeft:
    async def test_of_what_is_too_large(self, shelf: Shelf) -> None:
        raw = b"x" * (LIMIT + 1)
        streamed = await shelf.put("ann", raw)  # in pieces, without its length
        assert (streamed.status_code, str(LIMIT) in streamed.json()["detail"]) == (413, True)
        told = await shelf.http.put("/v1/blobs", content=raw, headers=shelf.keys["ann"])
        assert told.status_code == 413
        assert await shelf.blobs() == set()
        assert (await shelf.put("ann", raw[:-1])).status_code == 201

    async def test_of_what_breaks_off(self, shelf: Shelf, root: Path) -> None:
        started, stay = asyncio.Event(), asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield RAW
            started.set()
            await stay.wait()

        sending = asyncio.create_task(
            shelf.http.put("/v1/blobs", content=body(), headers=shelf.keys["ann"])
        )
        await started.wait()
        await until(lambda: any((root / UNFINISHED).glob("*")))
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await until(lambda: not any((root / UNFINISHED).glob("*")))
        assert await shelf.blobs() == set()
        assert await shelf.listed("olga") == []

    async def test_once_its_time_is_over(self, shelf: Shelf) -> None:
        sha256 = await shelf.kept("ann", ttl=0.2)
        await shelf.kept("bob")

        async def over() -> bool:
            return (await shelf.get("ann", sha256)).status_code == 404

        await until_answered(over)
        assert await shelf.listed("ann") == []
        assert await expire_documents(shelf.surface.runtime) == 1
        assert (await shelf.get("bob", sha256)).content == RAW
        await shelf.kept("bob", ttl=0.001)

        async def gone() -> bool:
            await expire_documents(shelf.surface.runtime)
            return await shelf.blobs() == set()

        await until_answered(gone)


class TestStrays:
    async def test_a_sweep_takes_what_no_entry_names_and_nothing_else(
        self, shelf: Shelf, root: Path
    ) -> None:
        runtime = shelf.surface.runtime
        assert runtime.blobs is not None
        sha256 = await shelf.kept("ann", b"old and named")
        place = new_place()
        blob = await runtime.blobs.put(place, in_pieces(b"nobody's"))
        copy = new_place()  # of what is named, and is elsewhere
        await runtime.blobs.put(copy, in_pieces(b"old and named"))
        young = new_place()
        await runtime.blobs.put(young, in_pieces(b"young"))
        for name in await shelf.blobs():
            if not name.startswith(young):
                then = runtime.clock.now() - DAY - 60
                os.utime(root / name, (then, then))
        assert await delete_strays(runtime, runtime.blobs) == 2
        left = await shelf.blobs()
        assert len(left) == 2
        assert blob_name(place, blob.sha256) not in left
        assert (await shelf.get("ann", sha256)).content == b"old and named"

    async def test_a_put_between_a_sweeps_look_and_its_deletion_is_not_lost(
        self, shelf: Shelf, root: Path
    ) -> None:
        """The same bytes as a stray's, put after the sweep has judged it."""
        runtime, raw = shelf.surface.runtime, b"the same bytes"
        sha256 = await shelf.kept("ann", raw)
        # As a crash leaves it: the entry is gone, its content stays and grows old.
        removed = await runtime.store.documents.remove(sha256, "ann")
        assert removed is not None
        os.utime(root / blob_name(removed.place, sha256), (0, 0))

        async def put() -> None:
            await shelf.kept("bob", raw)

        assert await delete_strays(runtime, Interrupted(root, put)) == 1
        assert (await shelf.get("bob", sha256)).content == raw
        assert len(await shelf.blobs()) == 1
