"""Bad input gets the protocol's own error, and nothing is queued."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.support.backends.legacy_http import LegacyHttp
from tests.support.backends.serving import served
from tests.support.routers import LegacyClient, Router, last_message, modern_call, router

pytestmark = pytest.mark.anyio

MAX_BODY = 20_000
REGION = {
    "name": "located",
    "inputSchema": {
        "type": "object",
        "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
    },
}


@pytest.fixture(scope="module")
async def longhaul(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Router]:
    backend = LegacyHttp()
    backend.tools.append(REGION)
    async with (
        served(backend.app()) as url,
        router(
            tmp_path_factory.mktemp("data"), f"{url}/mcp", listen={"max_body": MAX_BODY}
        ) as running,
    ):
        yield running
        assert await running.jobs() == []


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=20) as client:
        yield client


def without(call: dict[str, Any], header: str) -> dict[str, Any]:
    headers = {name: value for name, value in call["headers"].items() if name != header}
    return {**call, "headers": headers}


def with_headers(call: dict[str, Any], **headers: str) -> dict[str, Any]:
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return {**call, "headers": {**call["headers"], **more}}


ECHO = modern_call("echo")
HEADERS = ECHO["headers"]


async def refused(
    http: httpx2.AsyncClient, longhaul: Router, content: bytes, headers: dict[str, str]
) -> tuple[int, int]:
    """The status, and the code of the error, whether it comes as a stream or not."""
    headers = {**headers, "content-type": "application/json"}
    response = await http.post(longhaul.url, content=content, headers=headers)
    stream = "event-stream" in response.headers["content-type"]
    message = last_message(response.text) if stream else response.json()
    return response.status_code, message["error"]["code"]


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"", b"[" * 100_00])
async def test_what_is_not_json(longhaul: Router, http: httpx2.AsyncClient, content: bytes) -> None:
    assert await refused(http, longhaul, content, HEADERS) == (400, -32700)
    legacy = LegacyClient(http, longhaul.url)
    await legacy.initialize()
    assert await refused(http, longhaul, content, legacy.headers) == (400, -32700)


@pytest.mark.parametrize("tool", ["echo", "longhaul_jobs"])
@pytest.mark.parametrize(
    ("sent", "legacy_code"),
    [(r'"\ud83d"', -32700), ("9" * 400, -32602), ("NaN", -32602), ("1e400", -32602)],
)
async def test_what_only_some_parsers_take(
    longhaul: Router, http: httpx2.AsyncClient, tool: str, sent: str, legacy_code: int
) -> None:
    """Half of an emoji, as a client that cuts texts leaves it; what is no number, or no float."""
    call = modern_call(tool, {"a": "SENT"})
    content = json.dumps(call["json"]).replace('"SENT"', sent).encode()
    assert await refused(http, longhaul, content, call["headers"]) == (400, -32602)
    legacy = LegacyClient(http, longhaul.url)
    await legacy.initialize()
    _, code = await refused(http, longhaul, content, legacy.headers)
    assert code == legacy_code


@pytest.mark.parametrize(
    "message",
    [
        [ECHO["json"]],
        {"id": 1, "method": "tools/call"},
        {**ECHO["json"], "method": 7},
        {**ECHO["json"], "id": {"a": 1}},
        "hello",
        7,
    ],
)
async def test_what_is_not_one_request(
    longhaul: Router, http: httpx2.AsyncClient, message: Any
) -> None:
    response = await http.post(longhaul.url, json=message, headers=HEADERS)
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32600)


@pytest.mark.parametrize(
    "params",
    [
        {"name": 7},
        {"name": "echo", "arguments": [1]},
        {"arguments": {}},
        {"name": "echo", "_meta": "none"},
    ],
)
async def test_params_of_the_wrong_shape(
    longhaul: Router, http: httpx2.AsyncClient, params: dict[str, Any]
) -> None:
    legacy = LegacyClient(http, longhaul.url)
    await legacy.initialize()
    error = last_message((await legacy.post("tools/call", params, id=1)).text)["error"]
    assert error["code"] == -32602
    envelope = ECHO["json"]["params"]["_meta"]
    call = {**ECHO["json"], "params": {"_meta": envelope, **params}}
    response = await http.post(longhaul.url, json=call, headers=HEADERS)
    assert response.status_code == 400
    assert response.json()["error"]["code"] in {-32602, -32020}


async def test_a_version_nobody_speaks(longhaul: Router, http: httpx2.AsyncClient) -> None:
    call = modern_call("echo", meta={"io.modelcontextprotocol/protocolVersion": "1999-01-01"})
    response = await http.post(
        longhaul.url, **with_headers(call, mcp_protocol_version="1999-01-01")
    )
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["code"] == -32022
    assert error["data"] == {"supported": ["2026-07-28"], "requested": "1999-01-01"}


@pytest.mark.parametrize(
    ("method", "status"), [("tools/fly", 404), ("initialize", 404), ("logging/setLevel", 404)]
)
async def test_a_method_the_newer_era_does_not_have(
    longhaul: Router, http: httpx2.AsyncClient, method: str, status: int
) -> None:
    response = await http.post(longhaul.url, **modern_call("", method=method))
    assert (response.status_code, response.json()["error"]["code"]) == (status, -32601)


@pytest.mark.parametrize("method", ["tools/fly", "server/discover", "prompts/list"])
async def test_a_method_the_older_era_does_not_have(
    longhaul: Router, http: httpx2.AsyncClient, method: str
) -> None:
    legacy = LegacyClient(http, longhaul.url)
    await legacy.initialize()
    error = last_message((await legacy.post(method, id=1)).text)["error"]
    assert error["code"] == -32601


@pytest.mark.parametrize("header", ["mcp-method", "mcp-name"])
async def test_a_missing_routing_header(
    longhaul: Router, http: httpx2.AsyncClient, header: str
) -> None:
    response = await http.post(longhaul.url, **without(ECHO, header))
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32020)


@pytest.mark.parametrize(
    "headers", [{"mcp_name": "steps"}, {"mcp_method": "tools/list"}, {"mcp_method": "ping"}]
)
async def test_a_routing_header_that_says_something_else(
    longhaul: Router, http: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    response = await http.post(longhaul.url, **with_headers(ECHO, **headers))
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32020)


@pytest.mark.parametrize("headers", [{}, {"mcp_param_region": "us"}])
async def test_a_parameter_header_that_says_something_else(
    longhaul: Router, http: httpx2.AsyncClient, headers: dict[str, str]
) -> None:
    call = with_headers(modern_call("located", {"region": "eu"}), **headers)
    response = await http.post(longhaul.url, **call)
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32020)


async def test_a_body_that_is_too_large(longhaul: Router, http: httpx2.AsyncClient) -> None:
    call = modern_call("echo", {"text": "x" * MAX_BODY})
    assert (await http.post(longhaul.url, **call)).status_code == 413
    legacy = LegacyClient(http, longhaul.url)
    await legacy.initialize()
    params = {"name": "echo", "arguments": {"text": "x" * MAX_BODY}}
    assert (await legacy.post("tools/call", params, id=1)).status_code == 413


async def test_a_body_that_does_not_say_how_large_it_is(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY):
            yield b"xx"

    headers = {**HEADERS, "content-type": "application/json"}
    response = await http.post(longhaul.url, content=pieces(), headers=headers)
    assert response.status_code == 413


async def test_before_the_handshake_nothing_is_done(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    legacy = LegacyClient(http, longhaul.url)
    assert (await legacy.post("tools/list", id=1)).status_code == 400
    legacy.headers["mcp-session-id"] = "0" * 32
    assert (await legacy.post("tools/call", {"name": "echo"}, id=1)).status_code == 404


async def test_a_log_level_that_is_none(longhaul: Router, http: httpx2.AsyncClient) -> None:
    legacy = LegacyClient(http, longhaul.url)
    await legacy.initialize()
    error = last_message((await legacy.post("logging/setLevel", {"level": "loud"}, id=1)).text)
    assert error["error"]["code"] == -32602


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_http_method_that_is_none(
    longhaul: Router, http: httpx2.AsyncClient, method: str
) -> None:
    response = await http.request(method, longhaul.url, headers=HEADERS)
    assert response.status_code == 405


async def test_who_does_not_accept_json(longhaul: Router, http: httpx2.AsyncClient) -> None:
    response = await http.post(longhaul.url, **with_headers(ECHO, accept="text/html"))
    assert response.status_code == 406
