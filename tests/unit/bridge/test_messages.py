"""What the bridge reads of a line, and which headers it makes of it."""

import base64
from typing import Any

import pytest

from common.wire import dump_json, load_json
from longhaul.bridge.headers import header_map, modern_headers
from longhaul.bridge.messages import BadLineError, Message, error_line, one_line, read_message

META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}


def read(**message: Any) -> Message:
    return read_message(dump_json({"jsonrpc": "2.0", **message}))


def test_the_era_is_what_a_message_says_of_itself() -> None:
    assert read(id=1, method="ping").version is None
    assert read(id=1, method="ping", params={"_meta": META}).version == "2026-07-28"
    assert read(id=1, method="ping", params={"_meta": []}).version is None
    assert read(id=1, method="ping", params=[]).version is None


def test_the_line_is_kept_as_it_came() -> None:
    line = b'{ "id":1,"method":"x", "n": 1.00, "big": 123456789012345678901234567890 }'
    assert read_message(line).line == line


def test_half_of_an_emoji_goes_on_to_be_refused_by_its_id() -> None:
    """The router's parser takes none: without the id its client would wait for the answer."""
    line = (
        rb'{"id": 3, "method": "tools/call", "params": {"name": "a", "arguments": {"b": "\ud83d"}}}'
    )
    assert (read_message(line).id, read_message(line).line) == (3, line)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", -32700),
        (b"\xff", -32700),
        (b"[" * 100_000, -32700),
        (rb'{"id": "\ud83d", "method": "x"}', -32600),
        (b"1", -32600),
        (b'[{"id": 1, "method": "ping"}]', -32600),
        (b'{"id": 1, "method": 2}', -32600),
        (b'{"id": 1, "method": null}', -32600),
        (b'{"id": true, "method": "x"}', -32600),
        (b'{"id": 1.5, "method": "x"}', -32600),
        (b"{}", -32600),
    ],
)
def test_what_is_no_message_is_answered(line: bytes, code: int) -> None:
    with pytest.raises(BadLineError) as bad:
        read_message(line)
    answer = load_json(bad.value.answer)
    assert (answer["id"], answer["error"]["code"]) == (None, code)


def test_a_cancel_names_its_request() -> None:
    cancel = {"method": "notifications/cancelled"}
    assert read(**cancel, params={"requestId": "7"}).cancels == "7"
    assert read(**cancel, params={"requestId": 0}).cancels == 0
    assert read(**cancel, params={}).cancels is None
    assert read(method="notifications/progress", params={"requestId": 7}).cancels is None


def test_only_what_starts_something_is_not_repeated() -> None:
    assert not read(id=1, method="tools/call").repeatable
    assert not read(id=1, method="subscriptions/listen").repeatable
    assert read(id=1, method="tools/list").repeatable


def test_lines_have_no_breaks() -> None:
    assert one_line(b'{\r\n  "a": "\\n"\n}\n') == b'{    "a": "\\n" }'
    assert b"\n" not in error_line("x", -32603, "two\nlines", {"retryable": True})


def test_the_method_and_the_name_go_into_headers() -> None:
    called = read(id=1, method="tools/call", params={"name": "größe", "_meta": META})
    encoded = base64.b64encode("größe".encode()).decode()
    assert modern_headers(called, {}) == {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": f"=?base64?{encoded}?=",
    }
    resource = read(id=1, method="resources/read", params={"uri": "file:///x", "_meta": META})
    assert modern_headers(resource, {})["mcp-name"] == "file:///x"
    task = read(id=1, method="tasks/get", params={"taskId": "t1", "_meta": META})
    assert modern_headers(task, {})["mcp-name"] == "t1"
    listed = read(id=1, method="tools/list", params={"name": "x", "_meta": META})
    assert "mcp-name" not in modern_headers(listed, {})


def test_nothing_of_a_message_breaks_out_of_its_header() -> None:
    meta = {"io.modelcontextprotocol/protocolVersion": "1\r\nx-api-key: stolen"}
    odd = read(id=1, method="a\r\nb: c", params={"_meta": meta})
    assert all("\n" not in value and value.isascii() for value in modern_headers(odd, {}).values())


def test_arguments_go_into_headers_where_the_schema_says_so() -> None:
    schema = {
        "type": "object",
        "properties": {
            "region": {"type": "string", "x-mcp-header": "Region"},
            "deep": {
                "type": "object",
                "properties": {"dry": {"type": "boolean", "x-mcp-header": "Dry"}},
            },
            "left": {"type": "integer", "x-mcp-header": "Left"},
        },
    }
    params = {"name": "t", "arguments": {"region": "eu", "deep": {"dry": True}}, "_meta": META}
    made = modern_headers(read(id=1, method="tools/call", params=params), header_map(schema))
    mirrored = {name: value for name, value in made.items() if name.startswith("Mcp-Param-")}
    assert mirrored == {"Mcp-Param-Region": "eu", "Mcp-Param-Dry": "true"}
    assert header_map({"x-mcp-header": "Root"}) == {}
