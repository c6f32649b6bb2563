"""A change: what one commit checks and writes. Values only; the stores carry it out.

Both stores interpret the same small language: guards, field operations, index moves, one event,
parts, and who is told. `common.store.interpret` does so in Python for SQLite; the Lua script of the
Redis store mirrors it; the contract suite holds them together.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from common.jobs.output import Appended
from common.values import value_type

# --- guards: all must hold at the moment of the commit, by the store's own clock and data


@value_type(frozen=True, slots=True)
class LeaseAlive:
    lease: str


@value_type(frozen=True, slots=True)
class LeaseGone:
    """No beat within a lease, and no grace open; a released lease is gone at once."""

    lease: str


@value_type(frozen=True, slots=True)
class TimeReached:
    """The store's time is at or after the head's field (0: holds)."""

    name: str


@value_type(frozen=True, slots=True)
class TimeBefore:
    """The store's time is before the head's field (0: holds)."""

    name: str


@value_type(frozen=True, slots=True)
class OneOf:
    """The head's field is one of these words."""

    name: str
    words: tuple[str, ...]


@value_type(frozen=True, slots=True)
class Room:
    """The index holds fewer than `limit` entries scored at or above `at_least`."""

    index: str
    limit: int
    at_least: float | None = None


@value_type(frozen=True, slots=True)
class Window(Room):
    """As `Room`, of the release window: where it does not hold the job is held."""


@value_type(frozen=True, slots=True)
class Unique:
    """The key is free, or already this job's; it lives as long as the record."""

    key: str


@value_type(frozen=True, slots=True)
class Free:
    """The key is nobody's, this job's, or that of the job `besides`; it is not taken."""

    key: str
    besides: str = ""


@value_type(frozen=True, slots=True)
class Replays:
    """The job `letter` is `dead` or `lost` and nobody's replay yet, or already this job's.

    The one guard that writes elsewhere: with the commit the letter says that it is replayed as this
    job, and has an event more. Both are in the same shard.
    """

    letter: str
    by: str = ""  # who asked for it; for the event


@value_type(frozen=True, slots=True)
class BatchRuns:
    """The batch, a record of the same shard, is there and running."""

    batch: str


Guard = (
    LeaseAlive
    | LeaseGone
    | TimeReached
    | TimeBefore
    | OneOf
    | Room
    | Unique
    | Free
    | Replays
    | BatchRuns
)

# --- field operations


@value_type(frozen=True, slots=True)
class Add:
    amount: int


@value_type(frozen=True, slots=True)
class Now:
    """The store's time plus `after` milliseconds."""

    after: int = 0


@value_type(frozen=True, slots=True)
class AtLeast:
    """The larger of the field and this number."""

    value: int


Value = str | int | Add | Now | AtLeast

# --- indexes


@value_type(frozen=True, slots=True)
class Next:
    """One above the highest score that the index has: a place behind all others."""


@value_type(frozen=True, slots=True)
class Move:
    """Put the job into an index with a score, or take it out (`score` None).

    Named literally, because tools and callers choose their names. With `of_head`, `{field}` in it
    stands for the head's value before this change: for one that is made without a read.
    """

    index: str
    score: float | Now | Next | None
    of_head: bool = False


@value_type(frozen=True, slots=True)
class Due:
    """Where the record stands in the due index: the earliest of these.

    `after` is milliseconds from the store's now; `fields` are times in the head after the change
    (0 counts as never). `no_later`: than it stands already, for a change that is not about what the
    next look is for; else whoever makes such changes often enough would keep it off for ever.
    """

    after: int | None = None
    fields: tuple[str, ...] = ()
    no_later: bool = False


@value_type(frozen=True, slots=True, kw_only=True)
class Change:
    """One transition, ready to be committed."""

    name: str  # of the transition; also the event's name
    fields: Mapping[str, Value]
    due: Due
    guards: tuple[Guard, ...] = ()
    moves: tuple[Move, ...] = ()
    takes: tuple[str, ...] = ()  # unique keys that become this job's, whoever had them
    facts: Mapping[str, Any] = field(default_factory=dict)  # of the event
    parts: Mapping[str, bytes] = field(default_factory=dict)
    wake_owner: bool = False  # tell the worker that holds the claim, too
    counting: str = ""  # an index, `{field}` in its name is the head's: whether anything is in it
    returning: tuple[str, ...] = ()  # "head", and names of parts, that `Done` carries back


# --- notes: what decides nothing and leaves the version alone


@value_type(frozen=True, slots=True, kw_only=True)
class Note:
    fields: Mapping[str, Value] = field(default_factory=dict)
    claim: int | None = None  # dropped unless this is the head's claim and it still runs
    watch: str | None = None  # a watcher to add
    unwatch: str | None = None  # a watcher to remove
    relay: tuple[bytes, ...] = ()  # hints, sent to every watcher of all changes
    output: Appended | None = None  # put behind the job's output
    checkpoint: bytes | None = None  # takes the place of the one before


WATCH_END = "!"
"""A watcher named with this suffix hears only of the end of the job."""
BATCHES = "batches"
"""The watcher of every row of a batch: whoever drives batches hears of its end."""
WOKEN = frozenset({BATCHES})
"""Watchers that are only woken: a result does not go with what they hear."""

# --- what a commit answers


@value_type(frozen=True, slots=True, kw_only=True)
class Done:
    version: int
    now: int  # the store's time
    head: Any = None  # a Head when asked for
    counted: int = 0  # not 0: the index that the change counts has entries
    parts: Mapping[str, bytes] = field(default_factory=dict)


@value_type(frozen=True, slots=True, kw_only=True)
class Refused:
    """Nothing was written. `guard` is `version`, `missing`, `format` (a newer release's record), or
    the name of the guard's class.
    """

    guard: str
    now: int
    head: Any = None  # the current Head; None when there is no record
    # The job that has the key, when `guard` is `Unique` or `Free`; the earlier replay, when it is
    # `Replays`, and empty when there is no such letter.
    holder_of_key: str = ""
