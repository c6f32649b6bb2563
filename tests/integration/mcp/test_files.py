"""Files of a tool as MCP clients see them: a link, read whole or in parts."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from tests.support.backends.serving import program
from tests.support.ports import free_port
from tests.support.routers import router
from tests.support.tasks import TaskClient

pytestmark = pytest.mark.anyio

KEYS = {"api_keys": "ann=key-of-ann,bob=key-of-bob"}
TEXT = "é,ü\n" * 20_000


@pytest.fixture
def boxed() -> Iterator[str]:
    port = free_port()
    with program("boxed", port):
        yield f"http://127.0.0.1:{port}/mcp"


async def read(client: Client, uri: str) -> dict[str, Any]:
    (content,) = (await client.read_resource(uri)).model_dump(by_alias=True)["contents"]
    return dict(content)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_client_reads_what_a_link_names(boxed: str, tmp_path: Path, mode: Any) -> None:
    async with (
        router(tmp_path, boxed, blob_url=f"file://{tmp_path}/blobs") as longhaul,
        Client(longhaul.url, mode=mode) as client,
    ):
        result = await client.call_tool("hand_over", {"files": {"a b.csv": TEXT}})
        link = result.model_dump(by_alias=True, mode="json")["content"][1]
        job = (await longhaul.only_job()).id
        assert link["uri"] == f"longhaul://job/{job}/files/a%20b.csv"
        whole = await read(client, link["uri"])
        assert (whole["text"], whole["mimeType"]) == (TEXT, "text/csv")
        joined, offset = "", 0
        while offset < link["size"]:
            part = await read(client, f"{link['uri']}?offset={offset}&length=30001")
            joined, offset = joined + part["text"], part["_meta"]["longhaul/part"]["end"]
        assert joined == TEXT
        templates = (await client.list_resource_templates()).resource_templates
        assert any("/files/" in each.uri_template for each in templates)
        with pytest.raises(MCPError, match="has no file other"):
            await client.read_resource(f"longhaul://job/{job}/files/other")


async def test_what_is_no_text_comes_as_bytes(boxed: str, tmp_path: Path) -> None:
    async with (
        router(tmp_path, boxed, blob_url=f"file://{tmp_path}/blobs") as longhaul,
        Client(longhaul.url) as client,
    ):
        arguments = {"files": {"a.zip": "PK"}, "media": "application/zip"}
        result = await client.call_tool("hand_over", arguments)
        link = result.model_dump(by_alias=True, mode="json")["content"][1]
        whole = await read(client, link["uri"])
        assert base64.b64decode(whole["blob"]) == b"PK"


async def test_a_caller_cannot_choose_the_folder_nor_read_anothers_file(
    boxed: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    blobs = f"file://{tmp_path}/blobs"
    async with router(tmp_path, boxed, blob_url=blobs, listen=KEYS) as keyed:
        ann, bob = (
            TaskClient(http, keyed.url, {"x-api-key": f"key-of-{name}"}, declared={})
            for name in ("ann", "bob")
        )
        mine = tmp_path / "mine"
        mine.mkdir()
        meta = {"longhaul/outbox": str(mine), "longhaul/resume_from": [1]}
        answer = await ann.call("hand_over", {"files": {"a": "b"}}, meta=meta)
        assert list(mine.iterdir()) == []
        told = await ann.call("told", {}, meta=meta)
        assert [key for key in told["structuredContent"]["result"] if "longhaul" in key] == []
        uri = answer["content"][1]["uri"]
        for who, found in ((ann, True), (bob, False)):
            said = await who.request("resources/read", uri=uri, headers={"mcp-name": uri})
            assert ("result" in said) is found, said
