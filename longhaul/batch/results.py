"""The results file of a batch: written line by line, and continued after its last whole line."""

import fcntl
import json
import os
import shlex
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from longhaul.exits import UsageError

STDOUT = "-"
_PIECE = 1 << 20  # bytes
_BEGIN = b'{"row":'  # of each line
_FOREIGN = "has no results of a batch at its end; name another file with --out"


class Order(StrEnum):
    INPUT = "input"
    ENDED = "ended"


class Results(Protocol):
    """Where the lines go. `after` is the cursor of the last one that is there."""

    lines: int  # that are there

    @property
    def after(self) -> int: ...

    def add(self, line: bytes) -> None:
        """A whole line, without its end; a row that is there already is left out."""

    def flush(self) -> None: ...

    def begin(self, batch: str) -> None:
        """What is added from here on is this batch's: nothing is changed before that.

        Raises:
            UsageError: What is there is another batch's, and is not to be replaced.
        """

    def older(self, newest: Iterable[bytes]) -> list[int]:
        """Rows of which another result is there than in these lines, which have their `at`."""


class ResultsFile:
    """A results file that was opened, and of which the lines before this are known."""

    def __init__(self, path: Path, file: BinaryIO, order: Order, *, replace: bool) -> None:
        self._path = path
        self._file = file
        self._order = order
        self._replace = replace
        self._after = 0
        self._end = 0  # bytes, of the whole lines
        self.batch = ""  # whose results are in it
        self.lines = 0

    @property
    def after(self) -> int:
        return self._after

    def read(self) -> None:
        """What is there already; half a line, as a killed program leaves one, does not count.

        Raises:
            UsageError: These are no results of a batch, or they are in another order.
        """
        whole, last, half = _whole_lines(self._file)
        if not last and half[: len(_BEGIN)] != _BEGIN[: len(half)]:
            raise UsageError(f"{self._path} exists and {_FOREIGN}")
        self.lines, self._end = whole.count, whole.end
        if last:
            self.batch, self._after = self._place(last)

    def begin(self, batch: str) -> None:
        if self.lines and self.batch != batch:
            if not self._replace:
                how = fetching(self.batch, self._path, self._order)
                raise UsageError(
                    f"{self._path} has the results of batch {self.batch}, not of {batch}: "
                    f"name another file with --out; `{how}` goes on with those"
                )
            self.lines = self._end = self._after = 0
        self.batch = batch
        self._file.truncate(self._end)
        self._file.seek(self._end)

    def add(self, line: bytes) -> None:
        cursor = cursor_of(json.loads(line), self._order)
        if cursor > self._after:
            self._file.write(line + b"\n")
            self._after = cursor
            self.lines += 1

    def flush(self) -> None:
        self._file.flush()

    def older(self, newest: Iterable[bytes]) -> list[int]:
        found: dict[int, bytes] = {}
        for line in newest:
            value = json.loads(line)
            in_order = line.replace(b',"at":%d' % value["at"], b"", 1)
            found[value["row"]] = sha256(in_order).digest()
        if not found:
            return []
        self._file.seek(0)
        rows = ((int(line[len(_BEGIN) :].partition(b",")[0]), line[:-1]) for line in self._file)
        others = [row for row, line in rows if row in found and sha256(line).digest() != found[row]]
        self._file.seek(0, os.SEEK_END)
        return others

    def close(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def _place(self, line: bytes) -> tuple[str, int]:
        try:
            value = json.loads(line)
            batch, _, row = value["id"].rpartition(".")
            known = bool(batch) and row == str(value["row"])
        except (ValueError, TypeError, KeyError, AttributeError):
            known, batch, value = False, "", {}
        if not known:
            raise UsageError(f"{self._path} exists and {_FOREIGN}")
        if self._replace:
            return batch, 0
        if ("at" in value) != (self._order is Order.ENDED):
            before = Order.ENDED if "at" in value else Order.INPUT
            raise UsageError(f"{self._path} was begun with --order {before}; go on with that")
        return batch, cursor_of(value, self._order)


class ResultsStream:
    """Standard output: nothing is known of what is there."""

    lines = 0

    def __init__(self, order: Order) -> None:
        self._order = order
        self._after = 0

    @property
    def after(self) -> int:
        return self._after

    def add(self, line: bytes) -> None:
        cursor = cursor_of(json.loads(line), self._order)
        if cursor > self._after:
            sys.stdout.write(line.decode() + "\n")
            self._after = cursor

    def flush(self) -> None:
        sys.stdout.flush()

    def begin(self, batch: str) -> None:
        """It is nobody's yet."""

    def older(self, newest: Iterable[bytes]) -> list[int]:  # noqa: ARG002 - it keeps no lines
        return []


def fetching(batch: str, file: Path | None, order: Order) -> str:
    """The command that goes on with these results, whatever began the batch."""
    words = ["longhaul", "batches", "results", batch, "--follow"]
    words += [] if file is None else ["--out", str(file)]
    words += [] if order is Order.INPUT else ["--order", str(order)]
    return shlex.join(words)


def cursor_of(result: dict[str, Any], order: Order) -> int:
    """What a reader of this line has had last."""
    return int(result["at"] if order is Order.ENDED else result["row"])


@contextmanager
def open_results(path: Path, order: Order, *, replace: bool) -> Iterator[ResultsFile]:
    """For this command alone, at its last whole line.

    `replace`: of another batch's results, too, once this one begins; never of anything else.

    Raises:
        UsageError: It cannot be written, another command writes it, or it is something else.
    """
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666), "r+b")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released with the file
        except OSError as error:
            raise UsageError(f"another command is writing {path}") from error
        results = ResultsFile(path, file, order, replace=replace)
        results.read()
        yield results
        results.close()


class _Whole:
    def __init__(self) -> None:
        self.count = 0
        self.end = 0  # bytes up to the end of the last one


def _whole_lines(file: BinaryIO) -> tuple[_Whole, bytes, bytes]:
    """How many there are, where they end, the last one, and how what follows it begins."""
    whole = _Whole()
    before = 0  # where the last whole line begins
    file.seek(0)
    at = 0
    while piece := file.read(_PIECE):
        whole.count += piece.count(b"\n")
        last = piece.rfind(b"\n")
        if last >= 0:
            previous = piece.rfind(b"\n", 0, last)
            before = at + previous + 1 if previous >= 0 else whole.end
            whole.end = at + last + 1
        at += len(piece)
    file.seek(before)
    return whole, file.read(whole.end - before), file.read(len(_BEGIN))
