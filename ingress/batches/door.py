"""Rows on their way in: JSONL and CSV, piece by piece, become the lines that are kept."""

import csv
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import orjson

from common.errors import InvalidRowsError
from common.wire import dump_json
from ingress.batches.documents import kept_fault, kept_row

LONGEST = 4 * 1024 * 1024  # bytes of a row; a longer one is named, and left out
_MARK = b"\xef\xbb\xbf"  # that some editors begin a file with

Lines = AsyncIterator[tuple[int, bytes]]


async def from_jsonl(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A row for each line that is not empty."""
    async for number, line in lines_of(body):
        text = line.strip()
        if len(text) > LONGEST:
            yield kept_fault(number, f"a row may have {LONGEST} bytes")
        elif text:
            yield kept_row(number, text)


async def from_objects(rows: Sequence[Any]) -> AsyncIterator[bytes]:
    for number, row in enumerate(rows, 1):
        yield kept_row(number, dump_json(row))


async def from_csv(body: AsyncIterator[bytes], schema: Mapping[str, Any]) -> AsyncIterator[bytes]:
    """The first line names the arguments; the tool's schema says which are no strings.

    Raises:
        InvalidRowsError: Its first line names nothing.
    """
    names: list[str] = []
    reads: list[Callable[[str], object]] = []
    async for number, raw in records_of(lines_of(body)):
        try:
            cells = next(csv.reader([raw.decode()], strict=True), [])
        except (UnicodeDecodeError, csv.Error) as error:
            cells = []
            fault = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            if names:
                yield kept_fault(number, fault)
                continue
        if not names:
            names = _names(cells)
            reads = [_reader(schema, name) for name in names]
        elif len(raw) > LONGEST:
            yield kept_fault(number, f"a row may have {LONGEST} bytes")
        elif len(cells) > len(names):
            yield kept_fault(number, f"{len(cells)} cells, and {len(names)} columns have a name")
        elif any(cells):
            named = zip(names, reads, cells, strict=False)
            yield kept_row(
                number, dump_json({name: read(cell) for name, read, cell in named if cell})
            )


async def lines_of(body: AsyncIterator[bytes]) -> Lines:
    """Numbered from 1, with their ends; of one that is too long, no more than that is kept."""
    number, rest = 1, b""
    async for piece in body:
        rest += piece if len(rest) <= LONGEST or b"\n" in piece else b""
        *whole, rest = rest.split(b"\n")
        for line in whole:
            yield number, line.removeprefix(_MARK) + b"\n" if number == 1 else line + b"\n"
            number += 1
    if rest:
        yield number, rest.removeprefix(_MARK) if number == 1 else rest


async def records_of(lines: Lines) -> Lines:
    """Lines of a CSV joined where a quoted cell goes over several; numbered by their first."""
    begun, record = 0, b""
    async for number, line in lines:
        begun, record = (begun, record + line) if record else (number, line)
        if record.count(b'"') % 2 == 0 or len(record) > LONGEST:
            if record.strip():
                yield begun, record
            record = b""
    if record:
        yield begun, record


def _names(cells: Sequence[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if not names or not all(names) or len(set(names)) < len(names):
        raise InvalidRowsError("the first line of a CSV should name each argument once")
    return names


def _reader(schema: Mapping[str, Any], name: str) -> Callable[[str], object]:
    """A cell that cannot be read as its type stays as it is: the schema says then what is wrong."""
    properties = schema.get("properties")
    said = properties.get(name) if isinstance(properties, Mapping) else None
    kind = said.get("type") if isinstance(said, Mapping) else None
    kinds = kind if isinstance(kind, list) else [kind]
    if "string" in kinds or kinds == [None]:
        return str
    return _json_or_text


def _json_or_text(cell: str) -> object:
    text = cell.strip()
    lowered = text.lower() if text.lower() in {"true", "false", "null"} else text
    try:
        return orjson.loads(lowered)
    except ValueError:
        return cell
