"""The results of a batch: a line of JSON for each row that has ended. Memory is bounded."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import orjson

from common.errors import NotFoundError
from common.jobs.batch import AT_ONCE, Cursor
from common.jobs.endings import RESULT
from common.jobs.head import Head
from common.jobs.ids import row_id, row_of
from common.jobs.indexes import ended_index, rows_index
from common.jobs.rows import OPEN, REFUSED
from common.jobs.state import JobState
from common.runtime import Runtime
from common.store.base import Place
from ingress.operations.results import body_of

PAGE = 50  # rows that are read together
FEW = 4  # so many at first where the records keep results of any size
LITTLE = 4 * 1024 * 1024  # bytes of rows that were read together: more of them may be
GONE = b"null"  # the result of a row whose batch is being removed
AGAIN = 0.25  # seconds between two looks for rows that end meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which results: after which, at most how many, and whether those to come, too."""

    after: int = 0
    limit: int | None = None
    in_order: bool = True  # as the rows stand in the input; else as they ended
    follow: bool = False


async def results_of(
    runtime: Runtime, batch: str, wanted: Wanted, stopping: asyncio.Event
) -> AsyncIterator[bytes]:
    """In pieces. In order it goes no further than the first row that has not ended.

    Raises:
        StoreUnreachableError: The lines so far are good.
    """
    after, left = wanted.after, wanted.limit
    together = FEW if runtime.blobs is None else PAGE
    while left is None or left > 0:
        head = await runtime.store.get(batch)
        if head is None:
            return
        # Before its rows are read: those that end meanwhile are seen at the next look.
        over = head.terminal and not await runtime.store.count(rows_index(batch, OPEN))
        count = PAGE if left is None else min(PAGE, left)
        read = _in_order if wanted.in_order else _as_ended
        rows, after = await read(runtime, head, after, count)
        at = 0
        while at < len(rows):
            some, size = rows[at : at + together], 0
            async for piece in _lines(runtime, some):
                size += len(piece)
                yield piece
            at += len(some)
            if runtime.blobs is None:
                together = more_or_few(together, size)
        left = None if left is None else left - len(rows)
        if rows:
            continue
        if not wanted.follow or over or stopping.is_set():
            return
        await runtime.clock.sleep(AGAIN)


def more_or_few(together: int, size: int) -> int:
    """How many rows are read next, after so many that had this size: those of a batch are alike."""
    return min(PAGE, 2 * together) if size <= LITTLE else FEW


Rows = Sequence[tuple[Head, int | None]]


async def _in_order(runtime: Runtime, batch: Head, after: int, count: int) -> tuple[Rows, int]:
    """The next rows, and the last of them. What a cancelled batch never began is passed over."""
    begun = Cursor.of(batch).row
    # A cancel may come between the making of rows and the cursor behind them.
    last = begun + (AT_ONCE if batch.state is JobState.CANCELLED else 0)
    while True:
        numbers = range(after + 1, after + count + 1)
        heads = await runtime.store.heads([row_id(batch.id, number) for number in numbers])
        found: list[tuple[Head, int | None]] = []
        for number, head in zip(numbers, heads, strict=True):
            to_come = number >= begun and not batch.terminal
            if to_come if head is None else not head.terminal:
                return found, number - 1
            if head is not None:
                found.append((head, None))
        after = numbers[-1]
        if found or after >= last:
            return found, after


async def _as_ended(runtime: Runtime, batch: Head, after: int, count: int) -> tuple[Rows, int]:
    while places := await _places(runtime, batch.id, after, count):
        after = round(places[-1][0])
        heads = await runtime.store.heads([row for _, row in places])
        found = [
            (head, round(at))
            for (at, _), head in zip(places, heads, strict=True)
            if head is not None and head.terminal  # else it runs again, and ends at a later place
        ]
        if found:
            return found, after
    return (), after


async def _places(runtime: Runtime, batch: str, after: int, count: int) -> Sequence[Place]:
    return await runtime.store.places(
        ended_index(batch), limit=count, since=float(after + 1), newest_first=False
    )


async def _lines(runtime: Runtime, rows: Rows) -> AsyncIterator[bytes]:
    """What the records keep is read and sent together, a blob in pieces of its own."""
    with_it = [row.id for row, _ in rows if not row.result_blob]
    parts = await asyncio.gather(*(runtime.store.part(row, RESULT) for row in with_it))
    kept = dict(zip(with_it, parts, strict=True))
    together: list[bytes] = []
    for row, at in rows:
        begin = _begin(row, at)
        if row.state is not JobState.COMPLETED:
            error = kept.get(row.id) or orjson.dumps({"message": row.reason})
            together.append(begin + b',"error":' + _on_one_line(error) + b',"tool_error":false}\n')
            continue
        together.append(begin + b',"result":')
        if row.result_blob:
            yield b"".join(together)
            together = []
            async for piece in _whole(runtime, row):
                yield piece
        else:
            together.append(_on_one_line(kept[row.id] or GONE))
        together.append(b',"tool_error":%b}\n' % (b"true" if row.tool_error else b"false"))
    if together:
        yield b"".join(together)


def _begin(row: Head, at: int | None) -> bytes:
    facts: dict[str, object] = {
        "row": row_of(row.id),
        "id": row.id,
        "state": REFUSED if row.share == REFUSED else str(row.state),
    }
    if at is not None:
        facts["at"] = at
    return orjson.dumps(facts)[:-1]


def _on_one_line(json: bytes) -> bytes:
    """White space between tokens: inside of its strings JSON has no line's end."""
    return json.replace(b"\n", b" ")


async def _whole(runtime: Runtime, row: Head) -> AsyncIterator[bytes]:
    body = await body_of(runtime, row)
    if body is None:
        yield GONE
        return
    try:
        async for piece in body.read(0, body.size):
            yield _on_one_line(piece)
    except NotFoundError:
        yield GONE
