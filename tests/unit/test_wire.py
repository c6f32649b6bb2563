"""JSON in and out, with the numbers that a fast parser would bend."""

import math

import pytest

from common.wire import dump_json, is_json, load_json


@pytest.mark.parametrize(
    "text",
    [
        b"123456789012345678901234567890",
        b"-18446744073709551617",
        b'{"a":[1,{"b":[9223372036854775808,18446744073709551616]}],"c":"\xc3\xbc"}',
        b"[1.5,1e300,true,null]",
    ],
)
def test_a_value_comes_out_as_it_went_in(text: bytes) -> None:
    value = load_json(text)
    assert load_json(dump_json(value)) == value
    assert dump_json(value).replace(b"e+", b"e") == text


def test_whole_numbers_stay_whole() -> None:
    assert load_json(b'{"n":[18446744073709551617]}') == {"n": [2**64 + 1]}


def test_what_is_not_json_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="char"):
        load_json(b"{")


@pytest.mark.parametrize(
    ("value", "known"),
    [
        ({"a": ["größe", None, 1.5, 10**30]}, True),
        ({"a": "\ud83d"}, False),
        ({"\ud83d": 1}, False),
        ([10**400], False),
        ([None, {"a": [math.nan]}], False),
        ({"a": -math.inf}, False),
    ],
)
def test_what_can_be_written_and_read_again(value: object, known: bool) -> None:
    assert is_json(value) is known
