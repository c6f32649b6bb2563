"""The token: five facts, and nothing else that anybody could rely on."""

import orjson
import pytest

from common.jobs.token import (
    TOKEN_FORMAT,
    MalformedTokenError,
    Token,
    ToolRef,
    decode_token,
    encode_token,
)

TOKEN = Token(
    job="0" * 22,
    generation=2,
    version=7,
    tool=ToolRef(backend="exporter", tool="export", version="v1"),
)


def test_a_token_comes_back_as_it_was() -> None:
    assert decode_token(encode_token(TOKEN)) == TOKEN


def test_a_token_carries_nothing_but_its_five_facts() -> None:
    assert set(orjson.loads(encode_token(TOKEN))) == {"v", "job", "generation", "version", "tool"}
    assert len(encode_token(TOKEN)) < 200


@pytest.mark.parametrize("more", [{"more": [1]}, {"generation": "second", "tool": None}])
def test_a_newer_format_is_passed_on_byte_for_byte(more: dict[str, object]) -> None:
    raw = orjson.dumps(orjson.loads(encode_token(TOKEN)) | {"v": TOKEN_FORMAT + 1} | more)
    token = decode_token(raw)
    assert (token.format, token.job) == (TOKEN_FORMAT + 1, TOKEN.job)
    assert encode_token(token) == raw


@pytest.mark.parametrize("change", ["v", "job", "generation", "version", "tool"])
def test_a_token_without_one_of_them_is_malformed(change: str) -> None:
    body = orjson.loads(encode_token(TOKEN))
    del body[change]
    with pytest.raises(MalformedTokenError):
        decode_token(orjson.dumps(body))


@pytest.mark.parametrize(
    "change",
    [
        {"v": "1"},
        {"job": 5},
        {"job": ""},
        {"generation": None},
        {"version": 1.5},
        {"version": 0},
        {"generation": 0},
        {"tool": ["a"]},
        {"tool": 3},
    ],
)
def test_a_field_that_no_token_has_is_malformed(change: dict[str, object]) -> None:
    body = orjson.loads(encode_token(TOKEN)) | change
    with pytest.raises(MalformedTokenError):
        decode_token(orjson.dumps(body))


@pytest.mark.parametrize("raw", [b"", b"\xff\xfe", b"null", b"[]", b"5", b'"x"', b"{", b"{}"])
def test_what_is_no_token_at_all_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedTokenError):
        decode_token(raw)
