"""The rows of a batch as a person has them: a file or standard input, JSONL or CSV.

They are read piece by piece, twice: once for what they are, once to be sent.
"""

import csv
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import orjson

from longhaul.exits import UsageError

STDIN = "-"
_PIECE = 1 << 20  # bytes
_FIRST = 100  # rows whose names are looked at
_BOM = b"\xef\xbb\xbf"
_KEPT = 8 << 20  # bytes of standard input that are kept in memory; more is a temporary file
_LONGEST = 64 << 20  # bytes of a line; longer ones are no rows, and would fill the memory
_SEPARATORS = {";": "semicolons (;)", "\t": "tabs"}  # that spreadsheets write, and a batch does not
_ENDINGS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}


class RowFormat(StrEnum):
    JSONL = "jsonl"
    CSV = "csv"

    @property
    def media_type(self) -> str:
        return "text/csv" if self is RowFormat.CSV else "application/x-ndjson"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Read once from end to end; `pieces` reads them again."""

    name: str  # for messages
    format: RowFormat
    digest: str  # SHA-256, in hex
    size: int  # bytes
    file: BinaryIO
    source: os.stat_result | None  # of the file that they come from, if it is one

    def first_names(self) -> list[str]:
        """Of the arguments that the first rows give, each once. Of broken rows none."""
        self.file.seek(0)
        lines = (line for _, line in _lines(self.name, self.file) if line.strip())
        if self.format is RowFormat.CSV:
            header = next(lines, b"").decode("utf-8-sig", "replace")
            try:
                return next(csv.reader([header]), [])
            except csv.Error:  # the router says what is wrong with it
                return []
        return list(dict.fromkeys(name for line in islice(lines, _FIRST) for name in _keys(line)))

    def are_in(self, path: Path) -> bool:
        """Whether what is written there would be written over them."""
        try:
            return self.source is not None and os.path.samestat(self.source, path.stat())
        except OSError:
            return False  # there is nothing yet

    def pieces(self) -> Iterator[bytes]:
        """Raises: UsageError: They are others by now; the last piece is not given then."""
        digest, left, held = hashlib.sha256(), self.size, b""
        self.file.seek(0)
        while left and (piece := self.file.read(min(_PIECE, left))):
            if held:
                yield held
            digest.update(piece)
            left, held = left - len(piece), piece
        if digest.hexdigest() != self.digest:
            raise UsageError(f"{self.name} was changed while it was sent: type the command again")
        if held:
            yield held


@contextmanager
def open_rows(source: str, given: RowFormat | None, stdin: BinaryIO) -> Iterator[Rows]:
    """Raises: UsageError: There is nothing to read, or nothing in it that could be a row."""
    form = given or _format_of(source)
    name = "standard input" if source == STDIN else source
    with _opened(source, stdin) as file:
        digest, size = hashlib.sha256(), 0
        file.seek(0)
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
        file.seek(0)
        if form is RowFormat.JSONL:
            _some_row(name, file)
        else:
            _some_record(name, file)
        yield Rows(
            name=name,
            format=form,
            digest=digest.hexdigest(),
            size=size,
            file=file,
            source=_stat_of(source, stdin),
        )


def _stat_of(source: str, stdin: BinaryIO) -> os.stat_result | None:
    """Of standard input, too: a file may be redirected to it."""
    try:
        found = Path(source).stat() if source != STDIN else os.fstat(stdin.fileno())
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


@contextmanager
def _opened(source: str, stdin: BinaryIO) -> Iterator[BinaryIO]:
    if source == STDIN:
        with _spooled(stdin) as kept:
            yield kept
        return
    with _named(source) as file:
        if file.seekable():
            yield file
            return
        with _spooled(file) as kept:
            yield kept


def _named(source: str) -> BinaryIO:
    try:
        return Path(source).open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror}") from error


@contextmanager
def _spooled(stream: BinaryIO) -> Iterator[BinaryIO]:
    """What can be read only once, kept until it was read twice."""
    with tempfile.SpooledTemporaryFile(max_size=_KEPT) as kept:
        while piece := stream.read(_PIECE):
            kept.write(piece)
        yield kept  # type: ignore[misc]  # it is one in all but its declared type


def _format_of(source: str) -> RowFormat:
    found = _ENDINGS.get(Path(source).suffix.lower()) if source != STDIN else None
    if found is None:
        what = "standard input" if source == STDIN else f"the name of {source}"
        raise UsageError(f"{what} does not say what the rows are: add --format jsonl or csv")
    return RowFormat(found)


def _some_row(name: str, file: BinaryIO) -> None:
    """One line at least is a row: broken ones are told by the router, and the rest runs.

    Raises:
        UsageError: None is; it names the first line, and what is wrong there.
    """
    first = ""
    for number, line in _lines(name, file):
        if not line.strip():
            continue
        if not first and (line.startswith(b"[{") or line.strip() == b"["):
            raise UsageError(f"{name}, line {number}: a JSON list; write one object per line")
        said = _complaint(line)
        if not said:
            return
        first = first or f"{name}, line {number}: {said}"
    if not first:
        raise UsageError(f"{name} has no rows")
    raise UsageError(f"{first}; no other line has one. Write one JSON object per line: {{...}}")


def _lines(name: str, file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := file.readline(_LONGEST):
        number += 1
        if len(line) == _LONGEST and not line.endswith(b"\n"):
            raise UsageError(f"{name}, line {number}: longer than {_LONGEST} bytes")
        yield number, line


def _complaint(line: bytes) -> str:
    try:
        value = orjson.loads(line.removeprefix(_BOM))
    except orjson.JSONDecodeError as error:
        return f"not JSON ({error})"
    if not isinstance(value, dict):
        return f"should be a JSON object with the tool's arguments, not {_kind(value)}"
    return ""


def _keys(line: bytes) -> list[str]:
    return [] if _complaint(line) else list(orjson.loads(line.removeprefix(_BOM)))


def _kind(value: object) -> str:
    match value:
        case list():
            return "a list"
        case str():
            return "a string"
        case None:
            return "null"
        case bool():
            return "true or false"
        case _:
            return "a number"


def _some_record(name: str, file: BinaryIO) -> None:
    """A line of names, and another line at least. Raises: UsageError: There is not."""
    filled = (line for _, line in _lines(name, file) if line.strip())
    header = next(filled, None)
    if header is None:
        raise UsageError(f"{name} has no rows")
    other = next((each for each in _SEPARATORS if each.encode() in header), None)
    if other and b"," not in header:
        raise UsageError(
            f"{name}: {_SEPARATORS[other]} separate its cells, as its first line looks; "
            "write it with commas"
        )
    if next(filled, None) is None:
        raise UsageError(
            f"{name} has no rows: its first line names the arguments, one call per line follows"
        )
