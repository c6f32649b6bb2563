"""How calls are dressed for a backend's era."""

from typing import Any

import pytest

from workers.backends.base import Call, ProtocolFailure
from workers.backends.envelope import (
    CLIENT_INFO,
    call_headers,
    call_params,
    input_required,
    without_tasks,
)

VERSION = "2026-07-28"
CALL = Call(
    tool="export",
    arguments={"region": "eu", "rows": 5, "deep": {"flag": True}},
    meta={
        "traceparent": "00-1",
        "progressToken": 9,
        "io.modelcontextprotocol/protocolVersion": "1999-01-01",
        "io.modelcontextprotocol/related-task": {"taskId": "of the caller"},
    },
    client_capabilities={"elicitation": {}, "tasks": {}},
    log_level="warning",
    input_responses={"name": {"action": "accept"}},
    request_state="opaque",
)


def test_a_modern_call() -> None:
    assert call_params(CALL, "modern", VERSION) == {
        "name": "export",
        "arguments": CALL.arguments,
        "inputResponses": {"name": {"action": "accept"}},
        "requestState": "opaque",
        "_meta": {
            "traceparent": "00-1",
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientInfo": CLIENT_INFO,
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
            "io.modelcontextprotocol/logLevel": "warning",
        },
    }


def test_a_legacy_call_knows_nothing_of_it() -> None:
    assert call_params(CALL, "legacy", "2025-06-18") == {
        "name": "export",
        "arguments": CALL.arguments,
        "_meta": {"traceparent": "00-1"},
    }


def test_nothing_given_is_nothing_sent() -> None:
    bare = Call(tool="ping", meta={}, client_capabilities={})
    assert call_params(bare, "legacy", "2025-06-18") == {"name": "ping"}
    assert CLIENT_INFO["name"] == "longhaul"


def test_headers() -> None:
    schema = {("region",): "Region", ("deep", "flag"): "Flag", ("not", "there"): "Gone"}
    assert call_headers(CALL, VERSION, schema) == {
        "mcp-protocol-version": VERSION,
        "mcp-method": "tools/call",
        "mcp-name": "export",
        "Mcp-Param-Region": "eu",
        "Mcp-Param-Flag": "true",
    }


def test_header_values_that_http_would_not_carry_are_encoded() -> None:
    call = Call(tool="zählen\n", meta={}, client_capabilities={})
    assert call_headers(call, VERSION, {})["mcp-name"] == "=?base64?esOkaGxlbgo=?="


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({}, {}),
        ({"tasks": {}, "roots": {}}, {"roots": {}}),
        ({"extensions": {"io.modelcontextprotocol/tasks": {}}}, {}),
        (
            {"extensions": {"io.modelcontextprotocol/tasks": {}, "x/y": {"a": 1}}},
            {"extensions": {"x/y": {"a": 1}}},
        ),
    ],
)
def test_tasks_are_ours(declared: dict[str, Any], told: dict[str, Any]) -> None:
    before = repr(declared)
    assert without_tasks(declared) == told
    assert repr(declared) == before


QUESTION = {"method": "roots/list"}


def test_what_a_result_asks() -> None:
    assert input_required({"resultType": "complete", "content": []}) is None
    assert input_required({"content": [], "inputRequests": {"a": QUESTION}}) is None
    asked = input_required({"resultType": "input_required", "inputRequests": {"a": QUESTION}})
    assert asked is not None
    assert (asked.requests, asked.request_state) == ({"a": QUESTION}, None)
    again = input_required({"resultType": "input_required", "requestState": ""})
    assert again is not None
    assert (again.requests, again.request_state) == ({}, "")


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"inputRequests": {}},
        {"inputRequests": [QUESTION]},
        {"inputRequests": {"a": {"method": "tools/call"}}},
        {"inputRequests": {"a": {"method": ["roots/list"]}}},
        {"inputRequests": {"a": {"method": "roots/list", "params": []}}},
        {"inputRequests": {"a": "roots/list"}},
        {"inputRequests": {"a": QUESTION}, "requestState": 7},
    ],
)
def test_what_nobody_could_answer_is_an_error_of_the_backend(odd: dict[str, Any]) -> None:
    with pytest.raises(ProtocolFailure, match="cannot be read"):
        input_required({"resultType": "input_required", **odd})
