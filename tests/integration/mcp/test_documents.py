"""Documents as MCP resources: what callers list and read, and who hears that a list has changed."""

import base64
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client

from common.api_keys import Role
from common.blobs.base import in_pieces
from common.documents import Visibility, document_uri
from ingress.caller import LOCAL, Caller
from ingress.mcp import resources
from ingress.operations.documents import Said
from tests.support.routers import LegacyClient, Router, last_message, modern_call, router
from tests.support.streams import Stream

pytestmark = pytest.mark.anyio

MODES = ["auto", "legacy", "2026-07-28"]
KEYS = {"api_keys": "ann=key-of-ann,bob=key-of-bob,ops=key-of-ops"}
CHANGED = "notifications/resources/list_changed"


@pytest.fixture
async def longhaul(tmp_path: Path) -> AsyncIterator[Router]:
    blobs = f"file://{tmp_path}/blobs"
    async with router(tmp_path, "http://127.0.0.1:9/mcp", slots=0, blob_url=blobs) as running:
        yield running


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncIterator[Router]:
    where: dict[str, Any] = {"blob_url": f"file://{tmp_path}/blobs", "listen": KEYS}
    async with router(tmp_path, "http://127.0.0.1:9/mcp", slots=0, **where) as running:
        yield running


async def put(
    longhaul: Router,
    raw: bytes,
    *,
    who: str = LOCAL,
    name: str = "",
    media_type: str = "text/plain",
    everyone: bool = False,
    life: float | None = None,
) -> str:
    """Its URI."""
    said = Said(
        name=name,
        media_type=media_type,
        visibility=Visibility.EVERYONE if everyone else Visibility.OWN,
        life=life,
    )
    caller = Caller(name=who, role=Role.OPERATOR)
    kept = await longhaul.ingress.documents.put(in_pieces(raw), said, caller)
    return document_uri(kept.document.sha256)


async def ask(
    http: httpx2.AsyncClient, longhaul: Router, who: str, method: str, **params: Any
) -> dict[str, Any]:
    request = modern_call("", method=method, **params)
    request["headers"] |= {"x-api-key": f"key-of-{who}"}
    if method == "resources/read":
        request["headers"]["mcp-name"] = params["uri"]
    return dict((await http.post(longhaul.url, **request)).json())


async def names(http: httpx2.AsyncClient, longhaul: Router, who: str) -> list[str]:
    listed = (await ask(http, longhaul, who, "resources/list"))["result"]["resources"]
    return [each["name"] for each in listed]


@pytest.mark.parametrize("mode", MODES)
async def test_official_clients_list_and_read(longhaul: Router, mode: Any) -> None:
    raw = os.urandom(5_000)
    text = await put(longhaul, "Grüße".encode(), name="hello")
    image = await put(longhaul, raw, media_type="image/png")
    liar = await put(longhaul, b"\xff\xfe\xfd", media_type="text/plain", name="liar")
    async with Client(longhaul.url, mode=mode) as client:
        listed = {str(each.uri): each for each in (await client.list_resources()).resources}
        assert listed.keys() == {text, image, liar}
        assert (listed[text].name, listed[text].mime_type, listed[text].size) == (
            "hello",
            "text/plain",
            7,
        )
        assert listed[image].name == image.rpartition("/")[2]
        [read] = (await client.read_resource(text)).model_dump()["contents"]
        assert (read["text"], read["mime_type"]) == ("Grüße", "text/plain")
        [read] = (await client.read_resource(image)).model_dump()["contents"]
        assert (base64.b64decode(read["blob"]), read["mime_type"]) == (raw, "image/png")
        [read] = (await client.read_resource(f"{image}?offset=4990&length=99")).model_dump()[
            "contents"
        ]
        assert base64.b64decode(read["blob"]) == raw[4990:]
        [read] = (await client.read_resource(liar)).model_dump()["contents"]
        assert base64.b64decode(read["blob"]) == b"\xff\xfe\xfd"
        templates = (await client.list_resource_templates()).model_dump()["resource_templates"]
        assert "longhaul://blob/{sha256}{?offset,length}" in {
            each["uri_template"] for each in templates
        }


async def test_parts_of_a_text_join_whatever_characters_they_cut(longhaul: Router) -> None:
    uri = await put(longhaul, ("aü€😀" * 100).encode())
    async with Client(longhaul.url) as client:
        joined, offset, size = "", 0, 1
        while offset < size:
            answer = await client.read_resource(f"{uri}?offset={offset}&length=7")
            [part] = answer.model_dump(by_alias=True)["contents"]
            span = part["_meta"]["longhaul/part"]
            joined, offset, size = joined + part["text"], span["end"], span["size"]
        assert joined == "aü€😀" * 100


async def test_a_caller_has_its_own_and_everyones_whatever_its_role(
    keyed: Router, http: httpx2.AsyncClient
) -> None:
    own = await put(keyed, b"1", who="ann", name="anns")
    await put(keyed, b"2", who="ops", name="handbook", everyone=True)
    await put(keyed, b"3", who="ann", name="over", life=0.001)
    assert await names(http, keyed, "ann") == ["handbook", "anns"]
    assert await names(http, keyed, "bob") == ["handbook"]
    assert "result" in await ask(http, keyed, "ann", "resources/read", uri=own)
    for who in ("bob", "ops"):  # an administrator's key over REST, a caller like others here
        answer = await ask(http, keyed, who, "resources/read", uri=own)
        assert answer["error"]["code"] == -32_602, answer


async def test_one_content_of_several_owners_is_listed_once(
    keyed: Router, http: httpx2.AsyncClient
) -> None:
    await put(keyed, b"x", who="ops", name="public", everyone=True)
    await put(keyed, b"x", who="bob", name="public too", everyone=True)
    await put(keyed, b"x", who="ann", name="mine")
    assert await names(http, keyed, "ann") == ["mine"]
    assert await names(http, keyed, "ops") == ["public"]


async def test_pages_follow_each_other_by_cursor(
    longhaul: Router, http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "PAGE", 3)
    put_ = {await put(longhaul, bytes([number])) for number in range(8)}
    found: list[str] = []
    async with Client(longhaul.url) as client:
        page = await client.list_resources()
        while True:
            found += [str(each.uri) for each in page.resources]
            if page.next_cursor is None:
                break
            page = await client.list_resources(cursor=page.next_cursor)
    assert (len(found), set(found)) == (8, put_)
    answer = await ask(http, longhaul, "nobody", "resources/list", cursor="x")
    assert answer["error"]["code"] == -32_602


async def test_a_modern_client_hears_of_its_own_list_only(
    keyed: Router, http: httpx2.AsyncClient
) -> None:
    request = modern_call(
        "", method="subscriptions/listen", notifications={"resourcesListChanged": True}
    )
    request["headers"] |= {"x-api-key": "key-of-ann"}
    async with http.stream("POST", keyed.url, **request) as response:
        stream = Stream(response)
        first = await stream.next()
        assert first["params"]["notifications"] == {"resourcesListChanged": True}
        await put(keyed, b"1", who="bob")
        await put(keyed, b"2", who="ann")
        assert (await stream.next())["method"] == CHANGED
        uri = await put(keyed, b"3", who="bob", everyone=True)
        assert (await stream.next())["method"] == CHANGED
        operator = Caller(name="ops", role=Role.OPERATOR)
        await keyed.ingress.documents.delete(uri.rpartition("/")[2], "bob", operator)
        assert (await stream.next())["method"] == CHANGED
        await put(keyed, b"4", who="bob")
        keyed.endpoint.stop()
        assert "result" in await stream.next()


async def test_a_legacy_client_hears_of_its_own_list_only(
    keyed: Router, http: httpx2.AsyncClient
) -> None:
    legacy = LegacyClient(http, keyed.url)
    legacy.headers["x-api-key"] = "key-of-ann"
    await legacy.initialize()
    async with http.stream("GET", keyed.url, headers=legacy.headers) as response:
        stream = Stream(response)
        await put(keyed, b"1", who="bob")
        await put(keyed, b"2", who="ann")
        assert await stream.next() == {"jsonrpc": "2.0", "method": CHANGED}
        keyed.endpoint.stop()
        with pytest.raises(StopAsyncIteration):
            await stream.next()
    missing = await legacy.post("resources/read", {"uri": document_uri("0" * 64)}, id=1)
    assert last_message(missing.text)["error"]["code"] == -32_002
