"""Batches in a ledger, without an ingress: a record, rows of it, and their sums."""

from collections.abc import Mapping, Sequence
from typing import Any

from common.jobs.batch import Plan, begin, refuse
from common.jobs.change import Change, Done
from common.jobs.endings import bury, cancel, complete, fail, lose
from common.jobs.head import Head
from common.jobs.ids import row_id, row_of
from common.jobs.indexes import ended_index, errors_index, rows_index
from common.jobs.rows import OPEN, REFUSED, SHARES, WRONG, entering
from common.jobs.transitions import claim, submit
from tests.support.ledger import RETENTION, SUBMISSION, Ledger, a_job_id, all_pages

KEPT_MS = 1_000_000
ERROR = {"code": -31_002, "message": "the backend went away"}
SAID = b'{"content":[{"type":"text","text":"no such dataset"}],"isError":true}'
ENDINGS: dict[str, Any] = {
    "completed": lambda head: complete(head, b"{}", RETENTION, tool_error=False),
    "tool_error": lambda head: complete(head, SAID, RETENTION, tool_error=True),
    "failed": lambda head: fail(head, ERROR, RETENTION),
    "cancelled": lambda head: cancel(head, "enough", RETENTION),
    "lost": lambda head: lose(head, "it died", RETENTION, seen_gone=False),
    "dead": lambda head: bury(head, ERROR, RETENTION),
}


async def a_batch(
    ledger: Ledger, rows: int = 10, in_flight: int = 4, key: str = "", callback: str = ""
) -> Head:
    batch, plan = a_job_id(), Plan(rows=rows, in_flight=in_flight)
    change = begin(batch, "exporter__export", "local", plan, key, callback)
    answer = await ledger.store.commit(batch, change, version=0)
    assert isinstance(answer, Done), answer
    return await ledger.head(batch)


def a_row(batch: Head) -> Change:
    return entering(submit(SUBMISSION, 5), batch.id)


async def open_row(ledger: Ledger, batch: Head, number: int) -> Head:
    answer = await ledger.store.commit(row_id(batch.id, number), a_row(batch), version=0)
    assert isinstance(answer, Done), answer
    return await ledger.head(row_id(batch.id, number))


async def running_row(ledger: Ledger, batch: Head, number: int) -> Head:
    await ledger.store.beat("w1", {})
    return await ledger.done(await open_row(ledger, batch, number), claim("w1"))


async def refused_row(ledger: Ledger, batch: Head, number: int, reason: str) -> Head:
    change = refuse(batch, number, reason, KEPT_MS)
    answer = await ledger.store.commit(row_id(batch.id, number), change, version=0)
    assert isinstance(answer, Done), answer
    return await ledger.head(row_id(batch.id, number))


async def sums(ledger: Ledger, batch: Head) -> dict[str, int]:
    """Those that are not nothing."""
    counts = await ledger.store.counts([rows_index(batch.id, share) for share in SHARES])
    return {share: count for share, count in zip(SHARES, counts, strict=True) if count}


async def ended_rows(ledger: Ledger, batch: Head) -> list[int]:
    """In the order of their ends."""
    places = await ledger.store.places(ended_index(batch.id), limit=1_000, newest_first=False)
    assert len({at for at, _ in places}) == len(places)
    return [row_of(row) for _, row in places]


async def rows_of(ledger: Ledger, batch: Head) -> Sequence[Head]:
    """All that are records."""
    found: dict[str, Head] = {}
    for index in (ended_index(batch.id), rows_index(batch.id, OPEN)):
        found |= {head.id: head for head in await all_pages(ledger.store, index)}
    return list(found.values())


async def check_rows(ledger: Ledger, batch: Head) -> int:
    """Each row counts once, as what it is; how many of them are nobody's job."""
    rows = await rows_of(ledger, batch)
    expected: Mapping[str, set[str]] = {
        rows_index(batch.id, share): {row.id for row in rows if row.share == share}
        for share in SHARES
    }
    wrong = {row.id for row in rows if row.share in WRONG}
    for index, members in {**expected, errors_index(batch.id): wrong}.items():
        assert await ledger.members(index) == members, index
    for row in rows:
        assert row.terminal == (row.share != OPEN), row
    return sum(row.share == REFUSED for row in rows)
