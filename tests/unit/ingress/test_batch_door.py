"""Rows on their way in: what people's files are like, and what is said of those that are broken."""

import csv
import io
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidRowsError
from ingress.batches.documents import BrokenRowError, Row, arguments_of
from ingress.batches.door import LONGEST, from_document

SCHEMA: Mapping[str, Any] = {
    "properties": {
        "text": {"type": "string"},
        "count": {"type": "integer"},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "either": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
        "several": {"type": ["array", "null"]},
    }
}
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=6)


def read(raw: bytes, media_type: str = "text/csv", pieces: int = 7) -> list[Any]:
    """The arguments of each row, or what is wrong with it; the body comes in small pieces."""
    return anyio.run(_read, raw, media_type, pieces)


async def _read(raw: bytes, media_type: str, size: int) -> list[Any]:
    async def body() -> AsyncIterator[bytes]:
        for at in range(0, len(raw), size):
            yield raw[at : at + size]

    rows: list[Any] = []
    async for kept in from_document(body(), media_type, SCHEMA):
        assert kept.endswith(b"\n")
        try:
            rows.append(arguments_of(Row(len(rows) + 1, kept.removesuffix(b"\n"))))
        except BrokenRowError as error:
            rows.append(str(error))
    return rows


@given(st.lists(st.tuples(TEXT, TEXT), max_size=5), st.integers(1, 9))
def test_what_a_program_writes_as_csv_is_read_as_it_was(
    cells: list[tuple[str, str]], pieces: int
) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([("text", "other"), *cells])
    named = [zip(("text", "other"), row, strict=True) for row in cells]
    rows = [{name: cell for name, cell in row if cell} for row in named]
    assert read(text.getvalue().encode(), pieces=pieces) == [row for row in rows if row]


def test_a_quote_inside_of_a_cell_is_an_inch() -> None:
    assert read(b'text,count\n5" pipe,3\n6" pipe,4\na "b" c,5\n') == [
        {"text": '5" pipe', "count": 3},
        {"text": '6" pipe', "count": 4},
        {"text": 'a "b" c', "count": 5},
    ]


def test_a_quote_that_nothing_closes_is_named_with_all_its_lines() -> None:
    raw = b'text,count\na,1\n"b,2\nc,3\nd,4'
    assert read(raw) == [
        {"text": "a", "count": 1},
        "line 3: nothing closes a quote in it; it goes on to line 5",
    ]


@pytest.mark.timeout(20)
def test_many_lines_in_one_quote_take_no_time_to_speak_of() -> None:
    lines = 200_000
    raw = b'text,count\n"x' + b"\n" * lines + b'",1\nb,2\n'
    long, after = read(raw, pieces=1 << 16)
    assert long == {"text": "x" + "\n" * lines, "count": 1}
    assert after == {"text": "b", "count": 2}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'"a"b,1', "line 2: not CSV (',' expected after '\"')"),
        (b"\xff,1", "line 2: not UTF-8"),
        (b"a,1,2,3", "line 2: 4 cells, and 2 columns have a name"),
        (b"x" * (LONGEST + 1), f"line 2: a row may have {LONGEST} bytes"),
        (
            b'"x\n' + b"x" * LONGEST + b'\n"',
            f"line 2: a row may have {LONGEST} bytes; it goes on to line 4",
        ),
    ],
)
def test_a_broken_record_is_named_and_the_next_one_is_read(line: bytes, said: str) -> None:
    assert read(b"text,count\n" + line + b"\nz,9\n", pieces=1 << 16) == [
        said,
        {"text": "z", "count": 9},
    ]


def test_a_cell_may_be_as_large_as_a_row() -> None:
    large = "x" * 200_000
    assert read(f"text\n{large}\n".encode(), pieces=1 << 16) == [{"text": large}]


def test_cells_are_read_as_the_schema_says() -> None:
    header, cells = b"text,count,maybe,either,several,unknown\n", b'7,7,7,7,"[7]",7\n,,NULL,,,\n'
    assert read(header + cells) == [
        {"text": "7", "count": 7, "maybe": 7, "either": "7", "several": [7], "unknown": "7"},
        {"maybe": None},
    ]
    assert read(b"count\nmany\n") == [{"count": "many"}]  # the schema says what is wrong


@pytest.mark.parametrize("header", [b"a,a", b"a,", b"\n\n", b'"a\n1', b""])
def test_a_csv_whose_first_line_names_no_arguments_is_none(header: bytes) -> None:
    raw = header + b"\n1,2\n"
    if header.strip():
        with pytest.raises(InvalidRowsError, match="first line of a CSV"):
            read(raw)
    else:  # lines of nothing are left out: the next one is the first
        assert read(b"text,count\n" + raw) == [{"text": "1", "count": 2}]


def test_json_lines_with_a_mark_empty_lines_and_no_last_end() -> None:
    raw = b'\xef\xbb\xbf{"count": 1}\r\n\r\n  \n{"count": 2}\n[3]\n{"count": 4'
    assert read(raw, "application/x-ndjson") == [
        {"count": 1},
        {"count": 2},
        "line 5: not a JSON object",
        "line 6: not JSON",
    ]


def test_a_line_that_is_too_long_is_named_and_left_out() -> None:
    raw = b'{"a": "' + b"x" * LONGEST + b'"}\n{"count": 2}\n'
    assert read(raw, "application/x-ndjson", pieces=1 << 16) == [
        f"line 1: a row may have {LONGEST} bytes",
        {"count": 2},
    ]


@pytest.mark.parametrize("kind", ["text/csv", "Text/CSV ; charset=utf-8"])
def test_the_type_of_a_document_says_what_it_is(kind: str) -> None:
    assert read(b"count\n1\n", kind) == [{"count": 1}]
