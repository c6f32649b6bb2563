"""The `JobStore` port: records, indexes, leases and the catalogue. The truth lives here.

Contract, held by `tests/contract/test_store.py` on every implementation:

* `commit` is atomic and durable once it answers `Done`; it checks the version and every guard.
* The same commit id again answers `Done` again and writes nothing.
* A record whose format is newer than ours is read as far as it can be, and nothing changes it.
* All times are the store's own clock, in milliseconds.
* Every record stands in the due index exactly once; `remove` takes it out of everything.
* Watchers hear of a commit after it is durable; that is a hint and may be lost.

Every method raises `StoreUnreachableError` when the store does not answer in time; a commit may
have happened then, and repeating it with its commit id is safe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from common.jobs.change import Change, Done, Note, Refused, Value
from common.jobs.head import Head
from common.jobs.output import OutputRead
from common.jobs.put_off import PutOff
from common.jobs.state import JobState
from common.store.api_keys import ApiKeyStore
from common.store.documents import DocumentStore
from common.store.sessions import SessionStore
from common.store.standing import StandingOrders

EVENTS_KEPT = 256
COMMITS_KEPT = 4
DUE_PUSH_MS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How signs of life are judged, milliseconds."""

    lease_ms: int = 10_000  # no beat for so long: lapsed
    silence_ms: int = 6_000  # no beat from anyone for so long: the store was away
    grace_ms: int = 15_000  # after that, no owner counts as dead for so long
    session_ms: int = 1_800_000  # nobody asked for a handshake-era session for so long: it is gone
    session_note_ms: int = (
        60_000  # what was left for who holds a call of it may be read for so long
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What one commit did."""

    number: int  # the version that the record got by it: one larger each time, without a gap
    at: int  # ms
    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One process start: who it is and what it offers, as it said with its last beat."""

    id: str
    beat_at: int  # ms
    alive: bool
    info: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogueEntry:
    """What one backend offers, as a worker published it."""

    backend: str
    digest: str
    started_at: int  # ms; of the worker that published: the newest start wins
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    heads: Sequence[Head]
    cursor: str | None  # where the next page begins; None: there is none


Place = tuple[float, str]
"""Where a job stands in an index: its score, then its id. Places sort as the index does."""


def written_place(place: Place) -> str:
    """A place as a cursor."""
    score, job_id = place
    return f"{score:.0f}:{job_id}" if score.is_integer() else f"{score!r}:{job_id}"


def place_of(cursor: str) -> Place:
    """Raises: ValueError: Not a cursor."""
    score, _, job_id = cursor.partition(":")
    return float(score), job_id


class JobStore(Protocol):
    @property
    def sessions(self) -> SessionStore: ...

    @property
    def api_keys(self) -> ApiKeyStore: ...

    @property
    def orders(self) -> StandingOrders: ...

    @property
    def documents(self) -> DocumentStore: ...

    # --- records
    async def commit(
        self, job_id: str, change: Change, *, version: int, commit_id: str | None = None
    ) -> Done | Refused:
        """Carry the change out if the record is at `version` (0: does not exist) and guards hold.

        Without a commit id the store makes one, which then covers only its own repetitions.
        """
        ...

    async def note(self, job_id: str, note: Note) -> bool:
        """Write what decides nothing; False when there was no such record or claim."""
        ...

    async def note_many(self, fields: Mapping[str, Mapping[str, Value]]) -> None:
        """The fields of many jobs, as notes of theirs; those without a record are passed over."""
        ...

    async def get(self, job_id: str) -> Head | None: ...
    async def part(self, job_id: str, name: str) -> bytes | None: ...
    async def events(self, job_id: str, *, after: int = 0) -> Sequence[Event]:
        """Those with a larger number, the oldest first; only the newest `EVENTS_KEPT` are kept."""
        ...

    async def output(self, job_id: str, *, after: int, limit: int) -> OutputRead:
        """Up to `limit` kept entries with a larger number; none when nothing was said, or is kept.

        Notes append them, fenced by their claim; the same mark again appends nothing.
        """
        ...

    async def remove(self, job_id: str, *, version: int) -> bool:
        """Delete the record with everything that belongs to it; False when it has moved on."""
        ...

    async def due(self, limit: int) -> Sequence[Head]:
        """Take up to `limit` records whose check is due; each comes back in 5 s if nothing happens.

        When there are more, as many of those that became due last are taken besides: a worker's
        death must not wait behind a million records to forget. An entry of the due index without a
        record is dropped.
        """
        ...

    async def put_off(self, looks: Sequence[PutOff]) -> None:
        """Write when each is due next, and count the look; those that moved on are left alone."""
        ...

    # --- indexes
    async def page(
        self, index: str, *, limit: int, cursor: str | None = None, newest_first: bool = True
    ) -> Page: ...
    async def places(
        self,
        index: str,
        *,
        limit: int,
        after: Place | None = None,
        since: float | None = None,
        until: float | None = None,
        newest_first: bool = True,
    ) -> Sequence[Place]:
        """Entries after a place, scored from `since` to below `until`; no record is read."""
        ...

    async def heads(self, job_ids: Sequence[str]) -> Sequence[Head | None]: ...
    async def glances(
        self, job_ids: Sequence[str], fields: Sequence[str]
    ) -> Sequence[Sequence[str] | None]:
        """These fields of each head as they are stored, empty where it has none."""
        ...

    async def count(self, index: str) -> int: ...
    async def counts(self, indexes: Sequence[str]) -> Sequence[int]: ...
    async def rank(self, index: str, job_id: str) -> int | None:
        """How many stand before it; None when it is not there."""
        ...

    async def ranks(self, index: str, job_ids: Sequence[str]) -> Sequence[int | None]: ...
    async def score(self, index: str, job_id: str) -> float | None: ...
    async def scores(self, index: str, job_ids: Sequence[str]) -> Sequence[float | None]: ...
    async def oldest(self, index: str) -> float | None:
        """The lowest score; None when the index is empty."""
        ...

    async def drop_strays(self, index: str, states: Sequence[JobState], limit: int) -> int:
        """Of the `limit` highest entries take out those whose job is gone, or in no such state.

        How many that were. Where every commit of every release moves its entries there are none;
        jobs of a newer format are left alone.
        """
        ...

    # --- leases
    async def beat(self, lease: str, info: Mapping[str, Any]) -> None: ...
    async def release(self, lease: str) -> None:
        """Gone at once, in a grace too; jobs that it owns become due now."""
        ...

    async def gone(self, leases: Sequence[str]) -> Sequence[bool]:
        """For each lease: does it count as gone now? An empty name never does."""
        ...

    async def leases(self) -> Sequence[Lease]: ...

    # --- catalogue
    async def put_catalogue(self, entry: CatalogueEntry) -> bool:
        """Store it if its digest is new and no newer start said otherwise; tells everyone."""
        ...

    async def catalogue(self) -> Sequence[CatalogueEntry]: ...
    async def forget(self, backend: str) -> bool: ...

    async def now(self) -> int:
        """The store's time, ms; also the cheapest question that shows it answers."""
        ...

    async def fullness(self) -> float:
        """How much of its memory limit is used, as a share; 0 where there is no limit."""
        ...

    async def aclose(self) -> None: ...
