"""The rows of a batch as they are kept: a line for each, its line in the source before it.

Written once, at the door; read piece by piece as the rows' turn comes. Pure, but for the reading.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from common.blobs.base import Blob, blob_name
from common.errors import BlobsUnreachableError, LonghaulError, NotFoundError
from common.jobs.batch import Cursor, Plan
from common.runtime import Runtime
from common.wire import load_json

AHEAD = 256 * 1024  # bytes that are read at once
BATCHES_AHEAD = 8  # of so many batches a piece is kept
ROWS = "raw"  # the part of the record that has them where there is no place for blobs
_BROKEN = b"!"  # before the reason why a line is no row


class BrokenRowError(LonghaulError):
    """It cannot be the arguments of a call; the text names its line and why."""


@dataclass(frozen=True, slots=True)
class Row:
    number: int  # from 1
    line: bytes  # as it is kept


def kept_row(line: int, body: bytes) -> bytes:
    """`body` is JSON on one line, well or not: it is judged when its turn comes."""
    return b"%d\t%b\n" % (line, body)


def kept_fault(line: int, reason: str) -> bytes:
    """What the door could not even keep."""
    return b"%d\t%b%b\n" % (line, _BROKEN, reason.encode())


def arguments_of(row: Row) -> Mapping[str, Any]:
    """Raises: BrokenRowError: It is no JSON object."""
    number, _, body = row.line.partition(b"\t")
    place = f"line {number.decode()}"
    if body.startswith(_BROKEN):
        raise BrokenRowError(f"{place}: {body[1:].decode()}")
    try:
        value = load_json(body)
    except ValueError:
        raise BrokenRowError(f"{place}: not JSON") from None
    if not isinstance(value, dict):
        raise BrokenRowError(f"{place}: not a JSON object")
    return value


def named_by_line(row: Row, reason: str) -> str:
    number, _, _ = row.line.partition(b"\t")
    return f"line {number.decode()}: {reason}"


class RowReader:
    """Reads a piece ahead, of a few batches."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._ahead: dict[str, tuple[int, bytes]] = {}

    async def read(
        self, batch: str, plan: Plan, cursor: Cursor, count: int
    ) -> tuple[list[Row], Cursor]:
        """Up to so many rows from the cursor on, at least one, and where the next one begins.

        Raises:
            NotFoundError: They are gone.
            BlobsUnreachableError: They cannot be read now, or not from here.
        """
        rows: list[Row] = []
        number, offset = cursor.row, cursor.offset
        rest = await self._piece(batch, plan, offset)
        at = 0
        while len(rows) < count and number <= plan.rows:
            end = rest.find(b"\n", at)
            if end < 0:
                if rows:
                    break  # the rest of it comes with the next piece
                rest += await self._read(batch, plan, offset + len(rest))
                continue
            rows.append(Row(number, rest[at:end]))
            number, at = number + 1, end + 1
        self._keep(batch, offset + at, rest[at:])
        return rows, Cursor(row=number, offset=offset + at)

    async def _piece(self, batch: str, plan: Plan, offset: int) -> bytes:
        start, piece = self._ahead.get(batch, (0, b""))
        if start <= offset < start + len(piece):
            return piece[offset - start :]
        return await self._read(batch, plan, offset)

    async def _read(self, batch: str, plan: Plan, offset: int) -> bytes:
        if not plan.blob:
            raw = await self._runtime.store.part(batch, ROWS)
            if raw is None:
                raise NotFoundError(f"the rows of batch {batch} are gone")
            return raw[offset:]
        if self._runtime.blobs is None:
            raise BlobsUnreachableError("no blob_url is set here, and the rows are a blob")
        blob = Blob.of(plan.blob)
        end = min(blob.size, offset + AHEAD)
        pieces = self._runtime.blobs.get(blob_name(batch, blob.sha256), offset, end)
        read = b"".join([piece async for piece in pieces])
        if not read:
            raise NotFoundError(f"rows of batch {batch} are missing")
        return read

    def _keep(self, batch: str, start: int, piece: bytes) -> None:
        self._ahead.pop(batch, None)
        if piece:
            self._ahead[batch] = (start, piece)
        while len(self._ahead) > BATCHES_AHEAD:
            self._ahead.pop(next(iter(self._ahead)))
