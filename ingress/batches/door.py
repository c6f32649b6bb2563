"""Rows on their way in: JSONL and CSV, piece by piece, become the lines that are kept."""

import csv
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from common.errors import InvalidRowsError
from common.wire import dump_json
from ingress.batches.documents import kept_fault, kept_row

LONGEST = 4 * 1024 * 1024  # bytes of a row; a longer one is named, and left out
_MARK = b"\xef\xbb\xbf"  # that some editors begin a file with

CSV = "text/csv"
_QUOTES = re.compile(rb'"+')
_OPENING = re.compile(rb'(?:\A|,)"')

csv.field_size_limit(LONGEST)  # of the process: a cell may be a whole row

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


def from_document(
    body: AsyncIterator[bytes], media_type: str, schema: Mapping[str, Any]
) -> AsyncIterator[bytes]:
    """Rows as their type says: CSV, else JSONL. Raises: InvalidRowsError: As `from_csv`."""
    return from_csv(body, schema) if essence(media_type) == CSV else from_jsonl(body)


def essence(media_type: str) -> str:
    """Without its parameters."""
    return media_type.partition(";")[0].strip().lower()


async def from_csv(body: AsyncIterator[bytes], schema: Mapping[str, Any]) -> AsyncIterator[bytes]:
    """The first line names the arguments; the tool's schema says which are no strings.

    Raises:
        InvalidRowsError: Its first line names nothing.
    """
    names: list[str] = []
    reads: list[Callable[[str], object]] = []
    async for record in _records(lines_of(body)):
        cells, fault = record.cells()
        if not names:
            names = _names(cells)
            reads = [_reader(schema, name) for name in names]
        elif fault:
            yield kept_fault(record.line, fault)
        elif len(cells) > len(names):
            told = f"{len(cells)} cells, and {len(names)} columns have a name"
            yield kept_fault(record.line, told)
        elif any(cells):
            named = zip(names, reads, cells, strict=False)
            values = {name: read(cell) for name, read, cell in named if cell}
            yield kept_row(record.line, dump_json(values))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    """A line of a CSV, or the lines that a quoted cell goes over."""

    line: int  # the first
    last: int
    raw: bytes
    is_whole: bool  # its quotes are closed

    def cells(self) -> tuple[Sequence[str], str]:
        """None of them with a fault, which is said in words."""
        fault = ""
        try:
            if len(self.raw) > LONGEST:
                fault = f"a row may have {LONGEST} bytes"
            elif not self.is_whole:
                fault = "nothing closes a quote in it"
            else:
                return next(csv.reader([self.raw.decode()], strict=True), []), ""
        except UnicodeDecodeError:
            fault = "not UTF-8"
        except csv.Error as error:
            fault = f"not CSV ({error})"
        return (), fault if self.last == self.line else f"{fault}; it goes on to line {self.last}"


async def _records(lines: Lines) -> AsyncIterator[_Record]:
    """Lines of nothing are left out. Of one that is too long no more than that is kept."""
    line = last = size = 0
    parts: list[bytes] = []
    goes_on = False
    async for last, raw in lines:
        if not goes_on:
            line, parts, size = last, [], 0
        goes_on = _goes_on(raw, in_quotes=goes_on)
        if size <= LONGEST:
            parts.append(raw)
            size += len(raw)
        if not goes_on and (len(parts) > 1 or raw.strip()):
            yield _Record(line=line, last=last, raw=b"".join(parts), is_whole=True)
    if goes_on:
        yield _Record(line=line, last=last, raw=b"".join(parts), is_whole=False)


def _goes_on(line: bytes, *, in_quotes: bool) -> bool:
    """Whether a cell in quotes goes on behind this line.

    A quote opens one at the beginning of a cell only: elsewhere it is an inch.
    """
    at = 0
    while found := (_QUOTES if in_quotes else _OPENING).search(line, at):
        at = found.end()
        # Two quotes in a row are one of the text.
        in_quotes = len(found[0]) % 2 == 0 if in_quotes else True
    return in_quotes


def _names(cells: Sequence[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if not names or not all(names) or len(set(names)) < len(names):
        raise InvalidRowsError("the first line of a CSV should name each argument once")
    return names


def _reader(schema: Mapping[str, Any], name: str) -> Callable[[str], object]:
    """A cell that cannot be read as its type stays as it is: the schema says then what is wrong."""
    properties = schema.get("properties")
    kinds = _kinds(properties.get(name) if isinstance(properties, Mapping) else None)
    return _json_or_text if kinds and "string" not in kinds else str


def _kinds(schema: object) -> set[str]:
    """The JSON types that it names, also as one of several that may be."""
    if not isinstance(schema, Mapping):
        return set()
    kind = schema.get("type")
    kinds = {kind} if isinstance(kind, str) else set(kind if isinstance(kind, list) else ())
    for word in ("anyOf", "oneOf"):
        several = schema.get(word)
        for each in several if isinstance(several, list) else ():
            kinds |= _kinds(each)
    return kinds


def _json_or_text(cell: str) -> object:
    text = cell.strip()
    lowered = text.lower() if text.lower() in {"true", "false", "null"} else text
    try:
        return orjson.loads(lowered)
    except ValueError:
        return cell
