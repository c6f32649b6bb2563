"""Messages as bytes and back, also those that are barely JSON."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.backends import jsonrpc
from workers.backends.base import ProtocolFailure

SAFE = 2**53 - 1
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-SAFE, SAFE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(params=st.dictionaries(st.text(), PLAIN, max_size=4))
def test_what_is_written_is_read(params: dict[str, Any]) -> None:
    message = jsonrpc.request(7, "tools/call", params)
    assert jsonrpc.decode(jsonrpc.encode(message)) == [message]


def test_integers_of_any_size_can_be_sent() -> None:
    assert b"1180591620717411303424" in jsonrpc.encode(jsonrpc.request(1, "m", {"n": 2**70}))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (b"NaN", None),
        (b"[Infinity, -Infinity]", [None, None]),
        (rb'"\ud800"', "?"),
        (b'"\xff"', "\N{REPLACEMENT CHARACTER}"),
        (rb'{"\udfff": 1.5}', {"?": 1.5}),
    ],
)
def test_what_servers_write_although_they_should_not(value: bytes, read: Any) -> None:
    (message,) = jsonrpc.decode(b'{"id": 1, "result": {"structuredContent": %s}}' % value)
    assert message["result"] == {"structuredContent": read}
    assert jsonrpc.decode(jsonrpc.encode(message)) == [message]


@pytest.mark.parametrize("data", [b"", b"DEBUG: hello", b"{", b"[" * 100_000])
def test_what_is_no_json(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        jsonrpc.decode(data)


def test_a_batch_is_its_messages_and_what_is_none_is_left_out() -> None:
    data = b'[{"id": 1, "result": {}}, 7, {"jsonrpc": "2.0"}, {"method": "ping", "id": 2}]'
    assert len(jsonrpc.decode(data)) == 2
    assert jsonrpc.decode(b'"text"') == []


def test_errors_keep_what_they_say() -> None:
    with pytest.raises(ProtocolFailure) as failure:
        jsonrpc.result_of({"id": 1, "error": {"code": 5, "message": "no", "data": [1]}})
    assert (failure.value.code, failure.value.message, failure.value.data) == (5, "no", [1])


@pytest.mark.parametrize(
    "response",
    [{"error": "text"}, {"error": {"code": True}}, {"result": None}, {"result": [1]}, {}],
)
def test_answers_without_sense_are_internal_errors(response: dict[str, Any]) -> None:
    with pytest.raises(ProtocolFailure) as failure:
        jsonrpc.result_of(response)
    assert failure.value.code == -32603


@pytest.mark.parametrize(
    ("found", "meant"), [(3, 3), ("3", 3), ("x", None), (True, None), (None, None), (1.5, None)]
)
def test_ids_come_back_in_more_than_one_way(found: Any, meant: int | None) -> None:
    assert jsonrpc.request_id_of({"id": found}) == meant


def test_every_number_that_is_read_is_finite() -> None:
    (message,) = jsonrpc.decode(b'{"method": "m", "params": {"x": 1e999}}')
    assert message["params"]["x"] is None or math.isfinite(message["params"]["x"])
