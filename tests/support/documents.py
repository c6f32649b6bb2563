"""A surface with a place for documents, and a key for each of a few callers."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from common.api_keys import Role
from common.blobs.base import in_pieces
from tests.support.surfaces import Surface, surface
from tests.support.system import Place

ROOT = {"x-api-key": "root-key"}
LISTEN = {"api_keys": [{"key": "root-key", "caller": "root"}]}
RAW = b"a,b\n" + b"1,2\n" * 700_000
LIMIT = 5_000_000
Key = Mapping[str, str]


class Shelf:
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
async def open_shelf(place: Place, blob_url: str, **more: Any) -> AsyncIterator[Shelf]:
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
        yield Shelf(made, keys)
