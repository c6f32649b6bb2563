"""Documents over REST: who may put, see and delete one, and what is said of it."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.documents import RAW, Shelf, open_shelf
from tests.support.system import Place

pytestmark = pytest.mark.anyio


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
async def shelf(place: Place, root: Path) -> AsyncIterator[Shelf]:
    async with open_shelf(place, f"file://{root}") as opened:
        yield opened


@pytest.fixture
async def on_s3(embedded_place: Place, s3: str) -> AsyncIterator[Shelf]:
    async with open_shelf(embedded_place, s3, max_size=60_000_000) as opened:
        yield opened


class TestPutAndGet:
    async def test_the_answer_says_what_is_kept_and_a_get_has_it(self, shelf: Shelf) -> None:
        response = await shelf.put("ann", name="Zählung.csv", ttl=3_600)
        sha256 = hashlib.sha256(RAW).hexdigest()
        said = response.json()
        assert response.status_code == 201
        assert response.headers["location"] == f"/v1/blobs/{sha256}"
        assert (said["sha256"], said["size"]) == (sha256, len(RAW))
        assert said["uri"] == f"longhaul://blob/{sha256}"
        assert (said["name"], said["content_type"]) == ("Zählung.csv", "text/csv")
        assert (said["owner"], said["visibility"]) == ("ann", "own")
        assert said["expires_at"] > said["created_at"]
        got = await shelf.get("ann", sha256)
        assert (got.status_code, got.content) == (200, RAW)
        assert got.headers["content-type"] == "text/csv"
        assert got.headers["etag"] == f'"{sha256}"'
        part = await shelf.get("ann", sha256, range="bytes=4-6")
        assert (part.status_code, part.content) == (206, b"1,2")
        same = await shelf.get("ann", sha256, **{"if-none-match": f'"{sha256}"'})
        assert (same.status_code, same.content) == (304, b"")

    async def test_a_browser_saves_it_and_never_runs_it(self, shelf: Shelf) -> None:
        headers = {**shelf.keys["ann"], "content-type": "text/html"}
        put = await shelf.http.put(
            "/v1/blobs", params={"name": 'a".html'}, content=b"<script>", headers=headers
        )
        got = (await shelf.get("ann", put.json()["sha256"])).headers
        assert got["content-disposition"] == "attachment; filename*=UTF-8''a%22.html"
        assert got["x-content-type-options"] == "nosniff"
        assert "sandbox" in got["content-security-policy"]

    async def test_the_same_again_is_one_entry_with_what_was_said_last(self, shelf: Shelf) -> None:
        sha256 = await shelf.kept("ann", name="old")
        again = await shelf.put("ann", name="new")
        assert (again.status_code, again.json()["sha256"]) == (200, sha256)
        assert await shelf.listed("ann") == [("ann", "new")]
        assert len(await shelf.blobs()) == 1

    async def test_nothing_is_a_document_too(self, shelf: Shelf) -> None:
        sha256 = await shelf.kept("ann", b"")
        assert (await shelf.get("ann", sha256)).content == b""

    async def test_in_s3_too(self, on_s3: Shelf) -> None:
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
    async def test_a_hash_is_no_right(self, shelf: Shelf) -> None:
        sha256 = await shelf.kept("ann")
        for who, status in (("ann", 200), ("bob", 404), ("olga", 200), ("root", 200)):
            assert (await shelf.get(who, sha256)).status_code == status, who
        assert await shelf.listed("bob") == []
        unknown = (await shelf.get("bob", "0" * 64)).json()
        hidden = (await shelf.get("bob", sha256)).json()
        for problem in (unknown, hidden):
            del problem["request_id"]
            problem["detail"] = problem["detail"].replace(sha256, "0" * 64)
        assert unknown == hidden
        assert await shelf.delete("bob", sha256) == 404
        assert await shelf.delete("bob", sha256, owner="ann") == 404
        assert (await shelf.get("ann", sha256)).status_code == 200

    async def test_everyones_is_an_operators_to_give(self, shelf: Shelf) -> None:
        refused = await shelf.put("ann", visibility="everyone")
        assert (refused.status_code, refused.json()["needs"]) == (403, "operator")
        assert await shelf.blobs() == set()
        sha256 = await shelf.kept("olga", visibility="everyone", name="handbook")
        assert (await shelf.get("ann", sha256)).content == RAW
        assert await shelf.listed("ann") == [("olga", "handbook")]
        assert await shelf.delete("ann", sha256) == 404
        assert await shelf.delete("ann", sha256, owner="olga") == 404

    async def test_two_owners_of_one_content(self, shelf: Shelf) -> None:
        sha256 = await shelf.kept("ann", name="anns")
        assert await shelf.kept("bob", name="bobs") == sha256
        assert len(await shelf.blobs()) == 1
        assert await shelf.listed("ann") == [("ann", "anns")]
        assert await shelf.delete("ann", sha256) == 204
        assert (await shelf.get("ann", sha256)).status_code == 404
        assert (await shelf.get("bob", sha256)).content == RAW
        assert await shelf.delete("olga", sha256, owner="bob") == 204
        assert (await shelf.get("bob", sha256)).status_code == 404
        assert await shelf.blobs() == set()

    async def test_lists_go_on_by_cursor(self, shelf: Shelf) -> None:
        for number in range(7):
            await shelf.kept(("ann", "bob")[number % 2], bytes([number]), name=str(number))
        mine = [("ann", name) for name in ("6", "4", "2", "0")]
        for limit in (1, 3, 50):
            assert sorted(await shelf.listed("ann", limit)) == sorted(mine)
            assert len(await shelf.listed("olga", limit)) == 7

    async def test_users_put_only_where_the_operator_lets_them(
        self, embedded_place: Place, root: Path
    ) -> None:
        async with open_shelf(embedded_place, f"file://{root}", put="operator") as strict:
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
        self, shelf: Shelf, query: Any, content_type: str, said: str
    ) -> None:
        headers = {**shelf.keys["ann"], "content-type": content_type}
        refused = await shelf.http.put("/v1/blobs", params=query, content=b"x", headers=headers)
        assert refused.status_code == 422
        assert said in refused.json()["detail"]
        assert await shelf.blobs() == set()

    @pytest.mark.parametrize("sha256", ["x", "0" * 63, "A" * 64, "..%2f..%2fetc"])
    async def test_what_is_no_hash_is_no_document(self, shelf: Shelf, sha256: str) -> None:
        assert (await shelf.get("ann", sha256)).status_code == 404

    async def test_a_cursor_that_is_none_is_told(self, shelf: Shelf) -> None:
        for cursor in ("x", "!", "8J-YgA==", "MTIz"):
            response = await shelf.http.get(
                "/v1/blobs", params={"cursor": cursor}, headers=shelf.keys["ann"]
            )
            assert (response.status_code, response.json()["type"][-9:]) == (400, "malformed")

    async def test_without_a_place_for_blobs_the_answer_says_so(
        self, embedded_place: Place
    ) -> None:
        async with open_shelf(embedded_place, "") as nowhere:
            refused = await nowhere.put("ann")
            assert (refused.status_code, refused.json()["type"][-7:]) == (422, "refused")
            assert "blob_url" in refused.json()["detail"]
