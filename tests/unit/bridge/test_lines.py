"""Bytes into lines, however they come, and how long one may be."""

import pytest

from longhaul.bridge.stdio import OverlongError, split

TEXT = b'{"a": 1}\n\r\n  \n{"b": "\xc3\xa4"}\r\n{"c": 3}'
LINES = [b'{"a": 1}', b'{"b": "\xc3\xa4"}', b'{"c": 3}']


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(TEXT)])
def test_lines_are_the_same_however_they_come(size: int) -> None:
    chunks = (TEXT[at : at + size] for at in range(0, len(TEXT), size))
    assert list(split(chunks)) == LINES


@pytest.mark.parametrize("size", [1, 4, 100])
def test_a_line_that_is_too_long_is_passed_over(size: int) -> None:
    text = b"one\n" + b"x" * 21 + b"\ntwo\n" + b"y" * 20 + b"\n" + b"z" * 21
    chunks = (text[at : at + size] for at in range(0, len(text), size))
    found = [
        "too long" if isinstance(line, OverlongError) else line
        for line in split(chunks, longest=20)
    ]
    assert found == [b"one", "too long", b"two", b"y" * 20, "too long"]


def test_nothing_is_no_line() -> None:
    assert list(split(iter([]))) == []
    assert list(split(iter([b"\n\n"]))) == []
