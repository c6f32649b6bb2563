"""Large results as clients see them: a preview, a link, and the whole in one piece or in parts."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import Implementation

from tests.support.backends.legacy_http import LegacyHttp
from tests.support.routers import LegacyClient, Router, messages, router, tool
from tests.support.tasks import TaskClient

pytestmark = pytest.mark.anyio

MODES = ["auto", "legacy", "2026-07-28"]
SIZES: dict[str, Any] = {"inline_limit": 20_000, "preview": 1_000}
KEYS = {"api_keys": "ann=key-of-ann,bob=key-of-bob"}


@pytest.fixture
async def longhaul(backend_url: str, tmp_path: Path) -> AsyncIterator[Router]:
    async with router(
        tmp_path, backend_url, blob_url=f"file://{tmp_path}/blobs", **SIZES
    ) as running:
        yield running


def content(result: Any) -> list[dict[str, Any]]:
    dumped: list[dict[str, Any]] = result.model_dump(by_alias=True, mode="json")["content"]
    return dumped


@pytest.mark.parametrize("mode", MODES)
async def test_an_official_client_gets_a_link_and_reads_the_whole(
    longhaul: Router, mode: Any
) -> None:
    async with Client(longhaul.url, mode=mode) as client:
        result = await client.call_tool("big", {"size": 50_000})
        job = (await longhaul.only_job()).id
        lead, beginning, link = content(result)
        assert not result.is_error
        assert f"longhaul://job/{job}/result" in lead["text"]
        assert beginning["text"] == "x" * 1_000 + " […]"
        assert (link["type"], link["uri"]) == ("resource_link", f"longhaul://job/{job}/result")
        [read] = (await client.read_resource(link["uri"])).model_dump()["contents"]
        assert json.loads(read["text"])["content"] == [{"type": "text", "text": "x" * 50_000}]
        assert len(read["text"].encode()) == link["size"]
        assert (await client.list_resources()).resources == []
        template, *_ = (await client.list_resource_templates()).model_dump()["resource_templates"]
        assert template["uri_template"] == "longhaul://job/{job}/result{?offset,length}"


async def test_the_preview_is_as_long_as_the_client_takes(backend_url: str, tmp_path: Path) -> None:
    """By its call, else by the first rule for its name that says so, else as everybody's."""
    rules = {"other": {"preview": 1}, "tiny-*": {"call_wait": 60}, "*-client": {"preview": 300}}
    blobs = f"file://{tmp_path}/blobs"
    cases: list[tuple[str, Any, int]] = [
        ("tiny-client", None, 300),
        ("tiny-client", {"longhaul/preview": 5_000}, 5_000),
        ("tiny-client", {"longhaul/preview": 10**9}, 20_000),  # no more than a record takes
        ("somebody", None, 1_000),
    ]
    async with router(tmp_path, backend_url, blob_url=blobs, clients=rules, **SIZES) as longhaul:
        for name, meta, shown in cases:
            info = Implementation(name=name, version="1")
            async with Client(longhaul.url, client_info=info) as client:
                result = await client.call_tool("big", {"size": 50_000}, meta=meta)
                assert content(result)[1]["text"] == "x" * shown + " […]", (name, meta)
        async with Client(longhaul.url) as client:
            much: Any = {"longhaul/preview": "much"}
            with pytest.raises(MCPError, match="longhaul/preview"):
                await client.call_tool("big", {"size": 1}, meta=much)


async def test_parts_join_to_the_whole_whatever_characters_they_cut(longhaul: Router) -> None:
    async with Client(longhaul.url) as client:
        await client.call_tool("big", {"size": 50_000, "of": "ü"})
        job = (await longhaul.only_job()).id
        uri = f"longhaul://job/{job}/result"
        [whole] = (await client.read_resource(uri)).model_dump()["contents"]
        joined, offset, size = "", 0, 1
        while offset < size:
            part = (await client.read_resource(f"{uri}?offset={offset}&length=30001")).model_dump(
                by_alias=True
            )["contents"][0]
            span = part["_meta"]["longhaul/part"]
            joined, offset, size = joined + part["text"], span["end"], span["size"]
        assert joined == whole["text"]
        assert json.loads(joined)["content"][0]["text"] == "ü" * 50_000


async def test_nobody_else_reads_it_and_nothing_else_is_there(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    blobs = f"file://{tmp_path}/blobs"
    async with router(tmp_path, backend_url, blob_url=blobs, listen=KEYS, **SIZES) as keyed:
        ann, bob = (
            TaskClient(http, keyed.url, {"x-api-key": f"key-of-{name}"}, declared={})
            for name in ("ann", "bob")
        )
        await ann.call("big", {"size": 50_000})
        uri = f"longhaul://job/{(await keyed.only_job()).id}/result"
        assert "result" in await ann.request("resources/read", uri=uri, headers={"mcp-name": uri})
        for who, what in ((bob, uri), (ann, "file:///etc/passwd"), (ann, uri.replace("0", "1"))):
            answer = await who.request("resources/read", uri=what, headers={"mcp-name": what})
            assert answer["error"]["code"] == -32_602, answer


async def test_an_older_client_is_told_so_in_its_own_code(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    client = LegacyClient(http, longhaul.url)
    told = await client.initialize()
    assert told["result"]["capabilities"]["resources"] == {"listChanged": True}
    response = await client.post("resources/read", {"uri": "longhaul://job/x/result"}, id=1)
    assert messages(response.text)[-1]["error"]["code"] == -32_002


async def test_what_one_message_cannot_carry_says_how_it_can_be_read(
    longhaul: Router,
) -> None:
    async with Client(longhaul.url) as client:
        await client.call_tool("big", {"size": 5_000_000})
        uri = f"longhaul://job/{(await longhaul.only_job()).id}/result"
        with pytest.raises(MCPError, match="carries at most 4194304: read parts"):
            await client.read_resource(uri)


class TestStructured:
    @pytest.fixture
    def backend(self) -> LegacyHttp:
        server = LegacyHttp()
        schema = {"type": "object", "required": ["rows"]}
        server.tools = [tool("rows", outputSchema=schema)]
        return server

    @pytest.mark.parametrize("mode", MODES)
    async def test_a_client_that_was_promised_structure_is_not_broken(
        self, longhaul: Router, mode: Any
    ) -> None:
        async with Client(longhaul.url, mode=mode) as client:
            await client.list_tools()
            result = await client.call_tool("rows", {"count": 20_000})
            assert result.is_error
            assert content(result)[0]["text"].startswith("Not an error: the result has ")
            assert content(result)[1]["text"].startswith('{"rows":[0,1,2,')
            assert not (await longhaul.only_job()).tool_error


async def test_a_client_of_before_links_gets_text_alone(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    client = LegacyClient(http, longhaul.url)
    client.version = "2025-03-26"
    await client.initialize()
    async with client.call("big", request_id=2, arguments={"size": 50_000}) as response:
        answer = messages((await response.aread()).decode())[-1]
    assert {each["type"] for each in answer["result"]["content"]} == {"text"}
