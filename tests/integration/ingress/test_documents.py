"""Documents over REST: who may put, see and delete one, and what becomes of the bytes."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from common.api_keys import Role
from common.blobs.base import UNFINISHED, blob_name, in_pieces
from common.documents import new_place
from common.forgetting import DAY, delete_strays, expire_documents
from tests.support.surfaces import Surface, surface
from tests.support.system import Place
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

ROOT = {"x-api-key": "root-key"}
LISTEN = {"api_keys": [{"key": "root-key", "caller": "root"}]}
RAW = b"a,b\n" + b"1,2\n" * 700_000
LIMIT = 5_000_000
Key = Mapping[str, str]


class Desk:
    """A surface with a key for each of three callers."""

    def __init__(self, made: Surface, keys: Mapping[str, Key]) -> None:
        self.surface = made
        self.http = made.http
        self.keys = keys

    async def put(self, who: str, raw: bytes = RAW, **query: Any) -> httpx2.Response:
        return await self.http.put(
            "/v1/blobs",
            params=query,
            content=in_pieces(raw),
            headers={**self.keys[who], "content-type": "text/csv"},
        )

    async def kept(self, who: str, raw: bytes = RAW, **query: Any) -> str:
        response = await self.put(who, raw, **query)
        assert response.is_success, response.text
        return str(response.json()["sha256"])

    async def get(self, who: str, sha256: str, **headers: str) -> httpx2.Response:
        return await self.http.get(f"/v1/blobs/{sha256}", headers={**self.keys[who], **headers})

    async def delete(self, who: str, sha256: str, **query: str) -> int:
        response = await self.http.delete(
            f"/v1/blobs/{sha256}", params=query, headers=self.keys[who]
        )
        return response.status_code

    async def listed(self, who: str, limit: int = 50) -> list[tuple[str, str]]:
        """Owner and name of each."""
        found, cursor = [], ""
        while True:
            query: dict[str, Any] = {"limit": limit} | ({"cursor": cursor} if cursor else {})
            response = await self.http.get("/v1/blobs", params=query, headers=self.keys[who])
            page = response.json()
            found += [(each["owner"], each["name"]) for each in page["documents"]]
            if not (cursor := page["cursor"]):
                return found

    async def blobs(self) -> set[str]:
        assert self.surface.runtime.blobs is not None
        return {each.name async for each in self.surface.runtime.blobs.list()}


@asynccontextmanager
async def open_desk(place: Place, blob_url: str, **more: Any) -> AsyncIterator[Desk]:
    where = place.settings().model_dump(include={"broker_url", "store_url", "namespace"})
    documents = {"put": "user", "max_size": LIMIT} | more
    async with surface(
        place.data, **where, blob_url=blob_url, listen=LISTEN, documents=documents
    ) as made:
        keys: dict[str, Key] = {"root": ROOT}
        for name, role in (("ann", Role.USER), ("bob", Role.USER), ("olga", Role.OPERATOR)):
            response = await made.http.post(
                "/v1/keys", json={"name": name, "role": role}, headers=ROOT
            )
            keys[name] = {"x-api-key": response.json()["key"]}
        yield Desk(made, keys)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
async def desk(place: Place, root: Path) -> AsyncIterator[Desk]:
    async with open_desk(place, f"file://{root}") as opened:
        yield opened


@pytest.fixture
async def on_s3(embedded_place: Place, s3: str) -> AsyncIterator[Desk]:
    async with open_desk(embedded_place, s3, max_size=60_000_000) as opened:
        yield opened


class TestPutAndGet:
    async def test_the_answer_says_what_is_kept_and_a_get_has_it(self, desk: Desk) -> None:
        response = await desk.put("ann", name="Zählung.csv", ttl=3_600)
        sha256 = hashlib.sha256(RAW).hexdigest()
        said = response.json()
        assert response.status_code == 201
        assert response.headers["location"] == f"/v1/blobs/{sha256}"
        assert (said["sha256"], said["size"]) == (sha256, len(RAW))
        assert said["uri"] == f"longhaul://blob/{sha256}"
        assert (said["name"], said["content_type"]) == ("Zählung.csv", "text/csv")
        assert (said["owner"], said["visibility"]) == ("ann", "own")
        assert said["expires_at"] > said["created_at"]
        got = await desk.get("ann", sha256)
        assert (got.status_code, got.content) == (200, RAW)
        assert got.headers["content-type"] == "text/csv"
        assert got.headers["etag"] == f'"{sha256}"'
        part = await desk.get("ann", sha256, range="bytes=4-6")
        assert (part.status_code, part.content) == (206, b"1,2")
        same = await desk.get("ann", sha256, **{"if-none-match": f'"{sha256}"'})
        assert (same.status_code, same.content) == (304, b"")

    async def test_a_browser_saves_it_and_never_runs_it(self, desk: Desk) -> None:
        headers = {**desk.keys["ann"], "content-type": "text/html"}
        put = await desk.http.put(
            "/v1/blobs", params={"name": 'a".html'}, content=b"<script>", headers=headers
        )
        got = (await desk.get("ann", put.json()["sha256"])).headers
        assert got["content-disposition"] == "attachment; filename*=UTF-8''a%22.html"
        assert got["x-content-type-options"] == "nosniff"
        assert "sandbox" in got["content-security-policy"]

    async def test_the_same_again_is_one_entry_with_what_was_said_last(self, desk: Desk) -> None:
        sha256 = await desk.kept("ann", name="old")
        again = await desk.put("ann", name="new")
        assert (again.status_code, again.json()["sha256"]) == (200, sha256)
        assert await desk.listed("ann") == [("ann", "new")]
        assert len(await desk.blobs()) == 1

    async def test_nothing_is_a_document_too(self, desk: Desk) -> None:
        sha256 = await desk.kept("ann", b"")
        assert (await desk.get("ann", sha256)).content == b""

    async def test_in_s3_too(self, on_s3: Desk) -> None:
        raw = os.urandom(20_000_003)
        sha256 = await on_s3.kept("ann", raw)
        assert await on_s3.kept("bob", raw) == sha256
        assert len(await on_s3.blobs()) == 1
        assert (await on_s3.get("ann", sha256)).content == raw
        part = await on_s3.get("ann", sha256, range="bytes=-3")
        assert part.content == raw[-3:]
        assert await on_s3.delete("ann", sha256) == 204
        assert await on_s3.delete("bob", sha256) == 204
        assert await on_s3.blobs() == set()


class TestWhoMay:
    async def test_a_hash_is_no_right(self, desk: Desk) -> None:
        sha256 = await desk.kept("ann")
        for who, status in (("ann", 200), ("bob", 404), ("olga", 200), ("root", 200)):
            assert (await desk.get(who, sha256)).status_code == status, who
        assert await desk.listed("bob") == []
        unknown = (await desk.get("bob", "0" * 64)).json()
        hidden = (await desk.get("bob", sha256)).json()
        for problem in (unknown, hidden):
            del problem["request_id"]
            problem["detail"] = problem["detail"].replace(sha256, "0" * 64)
        assert unknown == hidden
        assert await desk.delete("bob", sha256) == 404
        assert await desk.delete("bob", sha256, owner="ann") == 404
        assert (await desk.get("ann", sha256)).status_code == 200

    async def test_everyones_is_an_operators_to_give(self, desk: Desk) -> None:
        refused = await desk.put("ann", visibility="everyone")
        assert (refused.status_code, refused.json()["needs"]) == (403, "operator")
        assert await desk.blobs() == set()
        sha256 = await desk.kept("olga", visibility="everyone", name="handbook")
        assert (await desk.get("ann", sha256)).content == RAW
        assert await desk.listed("ann") == [("olga", "handbook")]
        assert await desk.delete("ann", sha256) == 404
        assert await desk.delete("ann", sha256, owner="olga") == 404

    async def test_two_owners_of_one_content(self, desk: Desk) -> None:
        sha256 = await desk.kept("ann", name="anns")
        assert await desk.kept("bob", name="bobs") == sha256
        assert len(await desk.blobs()) == 1
        assert await desk.listed("ann") == [("ann", "anns")]
        assert await desk.delete("ann", sha256) == 204
        assert (await desk.get("ann", sha256)).status_code == 404
        assert (await desk.get("bob", sha256)).content == RAW
        assert await desk.delete("olga", sha256, owner="bob") == 204
        assert (await desk.get("bob", sha256)).status_code == 404
        assert await desk.blobs() == set()

    async def test_lists_go_on_by_cursor(self, desk: Desk) -> None:
        for number in range(7):
            await desk.kept(("ann", "bob")[number % 2], bytes([number]), name=str(number))
        mine = [("ann", name) for name in ("6", "4", "2", "0")]
        for limit in (1, 3, 50):
            assert sorted(await desk.listed("ann", limit)) == sorted(mine)
            assert len(await desk.listed("olga", limit)) == 7

    async def test_users_put_only_where_the_operator_lets_them(
        self, embedded_place: Place, root: Path
    ) -> None:
        async with open_desk(embedded_place, f"file://{root}", put="operator") as strict:
            refused = await strict.put("ann")
            assert (refused.status_code, refused.json()["needs"]) == (403, "operator")
            assert (await strict.put("olga")).status_code == 201


class TestBadInput:
    @pytest.mark.parametrize(
        ("query", "content_type", "said"),
        [
            ({"name": "a\nb"}, "text/csv", "name"),
            ({"name": "x" * 256}, "text/csv", "name"),
            ({"visibility": "all"}, "text/csv", "visibility"),
            ({"ttl": "0"}, "text/csv", "ttl"),
            ({}, "nonsense", "content-type"),
        ],
    )
    async def test_is_named_and_nothing_is_kept(
        self, desk: Desk, query: Any, content_type: str, said: str
    ) -> None:
        headers = {**desk.keys["ann"], "content-type": content_type}
        refused = await desk.http.put("/v1/blobs", params=query, content=b"x", headers=headers)
        assert refused.status_code == 422
        assert said in refused.json()["detail"]
        assert await desk.blobs() == set()

    @pytest.mark.parametrize("sha256", ["x", "0" * 63, "A" * 64, "..%2f..%2fetc"])
    async def test_what_is_no_hash_is_no_document(self, desk: Desk, sha256: str) -> None:
        assert (await desk.get("ann", sha256)).status_code == 404

    async def test_a_cursor_that_is_none_is_told(self, desk: Desk) -> None:
        for cursor in ("x", "!", "8J-YgA==", "MTIz"):
            response = await desk.http.get(
                "/v1/blobs", params={"cursor": cursor}, headers=desk.keys["ann"]
            )
            assert (response.status_code, response.json()["type"][-9:]) == (400, "malformed")

    async def test_without_a_place_for_blobs_the_answer_says_so(
        self, embedded_place: Place
    ) -> None:
        async with open_desk(embedded_place, "") as nowhere:
            refused = await nowhere.put("ann")
            assert (refused.status_code, refused.json()["type"][-7:]) == (422, "refused")
            assert "blob_url" in refused.json()["detail"]


class TestNothingIsLeft:
    async def test_of_what_is_too_large(self, desk: Desk) -> None:
        raw = b"x" * (LIMIT + 1)
        streamed = await desk.put("ann", raw)  # in pieces, without its length
        assert (streamed.status_code, str(LIMIT) in streamed.json()["detail"]) == (413, True)
        told = await desk.http.put("/v1/blobs", content=raw, headers=desk.keys["ann"])
        assert told.status_code == 413
        assert await desk.blobs() == set()
        assert (await desk.put("ann", raw[:-1])).status_code == 201

    async def test_of_what_breaks_off(self, desk: Desk, root: Path) -> None:
        started, stay = asyncio.Event(), asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield RAW
            started.set()
            await stay.wait()

        sending = asyncio.create_task(
            desk.http.put("/v1/blobs", content=body(), headers=desk.keys["ann"])
        )
        await started.wait()
        await until(lambda: any((root / UNFINISHED).glob("*")))
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await until(lambda: not any((root / UNFINISHED).glob("*")))
        assert await desk.blobs() == set()
        assert await desk.listed("olga") == []

    async def test_once_its_time_is_over(self, desk: Desk) -> None:
        sha256 = await desk.kept("ann", ttl=0.2)
        await desk.kept("bob")

        async def over() -> bool:
            return (await desk.get("ann", sha256)).status_code == 404

        await until_answered(over)
        assert await desk.listed("ann") == []
        assert await expire_documents(desk.surface.runtime) == 1
        assert (await desk.get("bob", sha256)).content == RAW
        await desk.kept("bob", ttl=0.001)

        async def gone() -> bool:
            await expire_documents(desk.surface.runtime)
            return await desk.blobs() == set()

        await until_answered(gone)


class TestStrays:
    async def test_a_sweep_takes_what_no_entry_names_and_nothing_else(
        self, desk: Desk, root: Path
    ) -> None:
        runtime = desk.surface.runtime
        assert runtime.blobs is not None
        sha256 = await desk.kept("ann", b"old and named")
        place = new_place()
        blob = await runtime.blobs.put(place, in_pieces(b"nobody's"))
        copy = new_place()  # of what is named, and is elsewhere
        await runtime.blobs.put(copy, in_pieces(b"old and named"))
        young = new_place()
        await runtime.blobs.put(young, in_pieces(b"young"))
        for name in await desk.blobs():
            if not name.startswith(young):
                then = runtime.clock.now() - DAY - 60
                os.utime(root / name, (then, then))
        assert await delete_strays(runtime, runtime.blobs) == 2
        left = await desk.blobs()
        assert len(left) == 2
        assert blob_name(place, blob.sha256) not in left
        assert (await desk.get("ann", sha256)).content == b"old and named"

    async def test_a_put_during_a_sweep_is_never_lost(self, desk: Desk, root: Path) -> None:
        """The same bytes are put again and again while what is left of earlier ones is swept."""
        runtime, raw = desk.surface.runtime, b"the same bytes"
        sha256, swept, ended = hashlib.sha256(raw).hexdigest(), 0, False

        async def sweep() -> None:
            nonlocal swept
            assert runtime.blobs is not None
            while not ended:
                swept += await delete_strays(runtime, runtime.blobs)
                await asyncio.sleep(0)

        async def put(who: str) -> None:
            for _ in range(15):
                await desk.kept(who, raw)
                assert (await desk.get(who, sha256)).content == raw
                # As a crash leaves it: the entry is gone, its content stays and grows old.
                removed = await runtime.store.documents.remove(sha256, who)
                assert removed is not None
                if removed.place:
                    os.utime(root / blob_name(removed.place, sha256), (0, 0))

        sweeping = asyncio.create_task(sweep())
        await asyncio.gather(put("ann"), put("bob"))
        await until(lambda: not [*root.glob("document-*")])
        ended = True
        await sweeping
        assert swept > 0
