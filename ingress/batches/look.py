"""How a batch stands: sums from its indexes, its pace, and its errors by what went wrong."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from common.jobs.batch import Plan
from common.jobs.head import Head
from common.jobs.ids import row_of
from common.jobs.indexes import errors_index, rows_index
from common.jobs.rows import ENDED, OPEN, REFUSED, SHARES, next_error, without_line
from common.jobs.state import JobState
from common.runtime import Runtime
from ingress.operations.explain import Situation, hindrance
from ingress.operations.fleet import Fleet
from ingress.operations.survey import standing_before

LATELY_MS = 10_000
ERRORS_SHOWN = 20
KINDS = 100  # of errors that are looked at, in no order of theirs
ROWS_NAMED = 5
OTHERS = "other errors"
RAN = tuple(share for share in ENDED if share != REFUSED)  # broken rows take no time


@dataclass(frozen=True, slots=True)
class ErrorCount:
    error: str
    count: int
    rows: Sequence[int]  # the first few


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    head: Head
    plan: Plan
    shares: Mapping[str, int]
    rate: float  # rows that ran, per second lately; of an ended batch, over all its time
    errors: Sequence[ErrorCount] = ()
    hindered: str = ""  # why no row of it can begin now

    @property
    def ended(self) -> int:
        return sum(self.shares[share] for share in ENDED)

    @property
    def created(self) -> int:
        """Rows that became jobs."""
        return self.shares[OPEN] + self.ended - self.shares[REFUSED]

    @property
    def waiting(self) -> int:
        """Rows that have not ended and still may."""
        if self.head.state is JobState.RUNNING:
            return max(0, self.plan.rows - self.ended)
        return self.shares[OPEN]

    @property
    def stands_still(self) -> bool:
        """None of its open rows has ended lately."""
        return self.head.state is JobState.RUNNING and not self.rate and self.shares[OPEN] > 0

    @property
    def ends_in(self) -> float | None:
        """Seconds."""
        if self.head.state is not JobState.RUNNING or not self.rate:
            return None
        return self.waiting / self.rate


async def look(runtime: Runtime, head: Head, plan: Plan, kinds: int = KINDS) -> Standing:
    """So many kinds of errors are looked at, one after the other.

    Raises:
        StoreUnreachableError.
    """
    counted, errors = await asyncio.gather(
        runtime.store.counts([rows_index(head.id, share) for share in SHARES]),
        _errors(runtime, head.id, kinds),
    )
    shares = dict(zip(SHARES, counted, strict=True))
    rate = await _rate(runtime, head, sum(shares[share] for share in RAN))
    return Standing(head=head, plan=plan, shares=shares, rate=rate, errors=errors)


async def newest_row_waits(runtime: Runtime, fleet: Fleet, batch: str) -> str:
    """Why its newest open row cannot begin: a paused queue, no worker, no backend; empty: it can.

    Raises:
        StoreUnreachableError.
    """
    situation = Situation(
        now=round(runtime.clock.now() * 1000),
        fleet=fleet,
        broker_down_since=runtime.broker.unreachable_since,
    )
    for _, row in await runtime.store.places(rows_index(batch, OPEN), limit=1):
        head = await runtime.store.get(row)
        if head is not None:
            return hindrance(head, situation)
    return ""


async def _rate(runtime: Runtime, head: Head, ran: int) -> float:
    if head.finished_at:
        return ran * 1000 / max(1, head.finished_at - head.created_at)
    now = round(runtime.clock.now() * 1000)
    span = min(LATELY_MS, max(1_000, now - head.created_at))
    lately = await asyncio.gather(
        *(_since(runtime, rows_index(head.id, share), now - span) for share in RAN)
    )
    return sum(lately) * 1000 / span


async def _since(runtime: Runtime, index: str, at: int) -> int:
    """Entries scored from there on; no more is read than one of them."""
    count, before = await asyncio.gather(
        runtime.store.count(index), standing_before(runtime.store, index, float(at))
    )
    return 0 if before is None else max(0, count - before)


async def _errors(runtime: Runtime, batch: str, most: int) -> Sequence[ErrorCount]:
    """By the words of the error, the most frequent of the first so many kinds first."""
    index, store = errors_index(batch), runtime.store
    found: list[Sequence[str]] = []  # the first few rows of each kind
    since = 0.0
    while len(found) < most:
        places = await store.places(index, limit=ROWS_NAMED, since=since, newest_first=False)
        if not places:
            break
        since = next_error(places[0][0])
        found.append([row for score, row in places if score < since])
    if not found:
        return ()
    begins = [begin or 0 for begin in await store.ranks(index, [rows[0] for rows in found])]
    total = await store.count(index)
    ends = [*begins[1:], total if len(found) < most else begins[-1]]
    counted = ((end - begin, rows) for rows, begin, end in zip(found, begins, ends, strict=True))
    # Rows that run again meanwhile have left the index: a kind may be of none by now.
    kinds = sorted((kind for kind in counted if kind[0] > 0), key=lambda kind: -kind[0])
    return await _shown(runtime, kinds[:ERRORS_SHOWN], total, kinds[ERRORS_SHOWN:])


async def _shown(
    runtime: Runtime,
    kinds: Sequence[tuple[int, Sequence[str]]],
    total: int,
    others: Sequence[tuple[int, Sequence[str]]],
) -> Sequence[ErrorCount]:
    texts = await runtime.store.glances([rows[0] for _, rows in kinds], ["reason", "share"])
    counts = [
        ErrorCount(_words(text, count), count, [row_of(row) for row in rows])
        for (count, rows), text in zip(kinds, texts, strict=True)
    ]
    if others:
        rest = total - sum(each.count for each in counts)
        counts.append(ErrorCount(OTHERS, rest, [row_of(row) for row in others[0][1]]))
    return counts


def _words(text: Sequence[str] | None, count: int) -> str:
    """A refused row is named by its line; of many the kind is what they have in common."""
    reason, share = text or ("", "")
    return without_line(reason) if share == REFUSED and count > 1 else reason
