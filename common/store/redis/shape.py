"""A change in two: its shape, which is names that stand in the code, and the values that fill it.

Changes of one shape share a script; see `compiled`.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from common.jobs.change import (
    Add,
    AtLeast,
    BatchRuns,
    Change,
    Free,
    Guard,
    LeaseAlive,
    LeaseGone,
    Move,
    Next,
    Now,
    OneOf,
    Replays,
    Room,
    TimeBefore,
    TimeReached,
    Unique,
    Value,
)
from common.jobs.indexes import HELD_INDEXES

FIRST = 7  # place in ARGV: the values come behind what every change has

Words = list[str | bytes]


class Places(NamedTuple):
    """Where in ARGV the values of each list begin."""

    moves: int
    takes: int
    replays: int
    changed: int
    plain: int
    parts: int


class Shape(NamedTuple):
    """What a change does, in names; `compiled` says it in Lua. A key: equal ones share a script."""

    name: str
    creates: bool
    guards: tuple[tuple[str, str, int], ...]  # kind, field of the head, how many words it may be
    moves: tuple[tuple[str, str, bool], ...]  # how, name that the head fills in, into `held`
    changed: tuple[tuple[str, str], ...]  # field, how
    plain: tuple[str, ...]
    clocks: tuple[str, ...]
    no_later: bool
    parts: tuple[str, ...]
    returning: tuple[str, ...]
    counting: str
    wake_owner: bool
    places: Places


def shape_of(change: Change, *, creates: bool) -> tuple[Shape, Words]:
    """Its shape, and its values in the order in which the shape asks for them."""
    words: Words = []
    guards = _guards(change.guards, words)
    moves_at = FIRST + len(words)
    moves = _moves(change.moves, words)
    takes_at = FIRST + len(words)
    words += [guard.key for guard in change.guards if type(guard) is Unique]
    words += change.takes
    replays_at = FIRST + len(words)
    for guard in change.guards:
        if type(guard) is Replays:
            words += guard.letter, guard.by
    changed_at = FIRST + len(words)
    changed, plain = _fields(change.fields, words)
    plain_at = FIRST + len(words)
    words += plain.values()
    parts_at = FIRST + len(words)
    words += change.parts.values()
    shape = Shape(
        change.name,
        creates,
        guards,
        moves,
        changed,
        tuple(plain),
        change.due.fields,
        change.due.no_later,
        tuple(change.parts),
        change.returning,
        change.counting,
        change.wake_owner,
        Places(moves_at, takes_at, replays_at, changed_at, plain_at, parts_at),
    )
    return shape, words


def _fields(
    fields: Mapping[str, Value], words: Words
) -> tuple[tuple[tuple[str, str], ...], dict[str, str]]:
    """What follows from the store's time or from what was there, and what is simply set."""
    changed: list[tuple[str, str]] = []
    plain: dict[str, str] = {}
    for field, value in fields.items():
        match value:
            case str():
                plain[field] = value
            case int():
                plain[field] = str(value)
            case Now(after=0):
                changed.append((field, "now"))
            case Now(after=amount):
                changed.append((field, "later"))
                words.append(str(amount))
            case Add(amount=amount):
                changed.append((field, "add"))
                words.append(str(amount))
            case AtLeast(value=amount):
                changed.append((field, "max"))
                words.append(str(amount))
    return tuple(changed), plain


def _guards(guards: Iterable[Guard], words: Words) -> tuple[tuple[str, str, int], ...]:
    said = []
    for guard in guards:
        field, known = "", 0
        match guard:
            case Room(index=index, limit=limit, at_least=least):
                words += index, str(limit), "-inf" if least is None else str(least)
            case TimeBefore(name=field) | TimeReached(name=field):
                pass
            case LeaseAlive(lease=lease) | LeaseGone(lease=lease):
                words.append(lease)
            case OneOf(name=field, words=states):
                words += states
                known = len(states)
            case Unique(key=key):
                words.append(key)
            case Free(key=key, besides=job):
                words += key, job
            case Replays(letter=letter, by=by):
                words += letter, by
            case BatchRuns(batch=batch):
                words.append(batch)
        said.append((type(guard).__name__, field, known))
    return tuple(said)


def _moves(moves: Iterable[Move], words: Words) -> tuple[tuple[str, str, bool], ...]:
    said = []
    for move in moves:
        index, score = move.index, move.score
        if not move.of_head:
            words.append(index)
        how = "out"
        if isinstance(score, Now):
            how = "now"
            if score.after:
                how = "later"
                words.append(str(score.after))
        elif isinstance(score, Next):
            how = "next"
        elif score is not None:
            how = "at"
            words.append(str(score))
        said.append((how, index if move.of_head else "", index.startswith(HELD_INDEXES)))
    return tuple(said)
