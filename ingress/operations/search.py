"""Search: the jobs that fit, the newest first, by a walk over indexes that is bounded each time.

A walk that has looked at enough ends with a short page and a cursor, whatever it has found: no
question makes the store wait, however many jobs it holds.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from common.jobs.head import Head
from common.store.base import JobStore, Place, place_of, written_place

WHOLE = 2_000  # entries: an index of no more is taken as a whole
STEPS = 4_000  # entries read for one page
LOOKS = 2_000  # records looked into for one page
CHUNK = 500  # entries at once, at least

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Where to look, and what a job must be."""

    indexes: tuple[str, ...]  # walked as one; a job has the same score in each that it stands in
    within: str | None = None  # an index that the job must stand in, too
    since: int | None = None  # ms
    until: int | None = None
    reads: tuple[str, ...] = ()  # fields of the head that decide
    passes: Callable[[Fields], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    heads: Sequence[Head]
    cursor: str | None  # where the next page begins; None: there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What passed, and where the walk stands."""

    jobs: Sequence[tuple[str, Fields]]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class _Chunk:
    places: Sequence[Place]
    more: bool
    cost: int  # entries that were read for it


async def find(store: JobStore, walk: Walk, *, limit: int, cursor: str | None = None) -> Found:
    """The heads of a page. Raises: StoreUnreachableError."""
    seen = await look(store, walk, limit=limit, cursor=cursor)
    heads = await store.heads([job for job, _ in seen.jobs])
    return Found(heads=[head for head in heads if head is not None], cursor=seen.cursor)


async def look(
    store: JobStore, walk: Walk, *, limit: int, cursor: str | None = None, budget: int = 0
) -> Seen:
    """At most `limit` jobs with the fields that decided; `budget`: entries read, 0 as usual.

    Raises:
        StoreUnreachableError: Nobody knows.
    """
    budget = budget or (LOOKS if walk.reads else STEPS)
    source = await _source(store, walk, place_of(cursor) if cursor else None, limit, budget)
    found: dict[str, Fields] = {}  # a job that moves meanwhile may stand in two indexes
    while True:
        chunk = await source.next()
        passing = await _passing(store, walk, chunk.places)
        for at, place in enumerate(chunk.places):
            if place[1] in passing:
                found[place[1]] = passing[place[1]]
            if len(found) == limit:
                rest = chunk.more or at + 1 < len(chunk.places)
                return _seen(found, place if rest else None)
        budget -= chunk.cost
        if not chunk.more:
            return _seen(found, None)
        if budget <= 0:
            return _seen(found, chunk.places[-1])


def _seen(found: dict[str, Fields], end: Place | None) -> Seen:
    return Seen(jobs=list(found.items()), cursor=None if end is None else written_place(end))


async def _passing(store: JobStore, walk: Walk, places: Sequence[Place]) -> dict[str, Fields]:
    jobs = [job for _, job in places]
    if walk.within is not None and jobs:
        scores = await store.scores(walk.within, jobs)
        jobs = [job for job, score in zip(jobs, scores, strict=True) if score is not None]
    if not walk.reads or not jobs:
        return {job: {} for job in jobs}
    passing: dict[str, Fields] = {}
    for job, values in zip(jobs, await store.glances(jobs, walk.reads), strict=True):
        fields = None if values is None else dict(zip(walk.reads, values, strict=True))
        if fields is not None and (walk.passes is None or walk.passes(fields)):
            passing[job] = fields
    return passing


# --- where the entries come from


async def _source(
    store: JobStore, walk: Walk, after: Place | None, limit: int, budget: int
) -> "_Merged | _Whole":
    """The fewest entries: all of `within` when it is small, else the indexes in their order."""
    if walk.within is not None:
        few = await store.places(walk.within, limit=WHOLE + 1)
        if len(few) <= WHOLE:
            return _Whole(await _of_few(store, walk, [job for _, job in few], after))
    plain = walk.within is None and not walk.reads
    chunk = max(CHUNK, budget // 5) // min(len(walk.indexes), 5)
    size = limit + 1 if plain else chunk
    return _Merged(store, walk, after, size)


async def _of_few(
    store: JobStore, walk: Walk, jobs: Sequence[str], after: Place | None
) -> list[Place]:
    """Where these jobs stand in the indexes that are walked, in that order."""
    columns = await asyncio.gather(*(store.scores(index, jobs) for index in walk.indexes))
    places = {
        (score, job)
        for column in columns
        for score, job in zip(column, jobs, strict=True)
        if score is not None
        and (walk.since is None or score >= walk.since)
        and (walk.until is None or score < walk.until)
        and (after is None or (score, job) < after)
    }
    return sorted(places, reverse=True)


class _Whole:
    """Entries that are known."""

    def __init__(self, places: list[Place]) -> None:
        self._places = places

    async def next(self) -> _Chunk:
        chunk, self._places = self._places[:CHUNK], self._places[CHUNK:]
        return _Chunk(chunk, more=bool(self._places), cost=len(chunk))


class _Merged:
    """Several indexes as one list, the newest first."""

    def __init__(self, store: JobStore, walk: Walk, after: Place | None, size: int) -> None:
        self._store = store
        self._walk = walk
        self._after = after
        self._size = size

    async def next(self) -> _Chunk:
        walk = self._walk
        pages = await asyncio.gather(
            *(
                self._store.places(
                    index, limit=self._size, after=self._after, since=walk.since, until=walk.until
                )
                for index in walk.indexes
            )
        )
        # What stands behind the end of a full page may have others of that index before it.
        ends = [page[-1] for page in pages if len(page) == self._size]
        merged = {place for page in pages for place in page}
        if not ends:
            return _Chunk(sorted(merged, reverse=True), more=False, cost=len(merged))
        self._after = max(ends)
        places = sorted((place for place in merged if place >= self._after), reverse=True)
        return _Chunk(places, more=True, cost=len(merged))
