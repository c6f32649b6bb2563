"""What a change or a note does to a record: the little language of `common.jobs.change`, executed.

Pure over plain values; a store supplies what it knows and carries the plan out in one transaction.
The Lua scripts of the Redis store mirror this file, and the contract suite holds them together.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from common.jobs.change import (
    WATCH_END,
    Add,
    AtLeast,
    BatchRuns,
    Change,
    Due,
    Free,
    Guard,
    LeaseAlive,
    LeaseGone,
    Move,
    Next,
    Note,
    Now,
    OneOf,
    Refused,
    Replays,
    Room,
    TimeBefore,
    TimeReached,
    Unique,
    Value,
)
from common.jobs.head import decode_head, is_newer
from common.jobs.state import JobState
from common.notifier.base import Hint, ingress_channel
from common.store.base import COMMITS_KEPT, Event, Timings
from common.store.replaying import Fields, Letter, may_replay, replay_of, replayed
from common.store.telling import hints_of, names_in

_TEMPLATE = re.compile(r"\{(\w+)\}")
_HOLDING_STATES = frozenset({JobState.RUNNING, JobState.INPUT_REQUIRED})


class Known(Protocol):
    """What guards ask of the store, at the moment of the commit."""

    def lease_alive(self, lease: str) -> bool: ...
    def lease_gone(self, lease: str) -> bool: ...
    def has_room(self, guard: Room) -> bool: ...
    def highest(self, index: str) -> float:
        """The highest score; 0 of an empty index."""
        ...

    def due(self, job_id: str) -> float | None:
        """Where the record stands in the due index; None: it is new."""
        ...

    def holder(self, key: str) -> str | None:
        """The job that has the unique key."""
        ...

    def record(self, job_id: str) -> Fields | None:
        """The head of another job, as it stands."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything one commit writes and tells."""

    fields: Fields  # the whole head after the change
    version: int
    moves: Mapping[str, float | None]  # index -> score; None: out of it
    due: float
    event: Event
    keys: tuple[str, ...]  # unique keys that are this job's from now on
    hints: tuple[Hint, ...]  # to be told once the commit is durable
    letters: tuple[Letter, ...] = ()  # other records that change with it


@dataclass(frozen=True, slots=True)
class Repeated:
    """This commit was carried out before; its answer was lost."""


def interpret(
    job_id: str,
    before: Fields | None,
    change: Change,
    *,
    version: int,
    commit_id: str,
    now: int,
    known: Known,
) -> Plan | Refused | Repeated:
    """The plan of a commit, or why there is none. `before` is the head, None without a record."""
    if before is not None and commit_id in names_in(before, "commits"):
        return Repeated()
    head = None if before is None else decode_head(before)
    if head is None and version > 0:
        return Refused(guard="missing", now=now)
    if head is not None and head.version != version:
        return Refused(guard="version", now=now, head=head)
    if head is not None and head.newer:
        return Refused(guard="format", now=now, head=head)
    for guard in change.guards:
        if not _holds(guard, job_id, before or {}, now, known):
            return Refused(
                guard=type(guard).__name__,
                now=now,
                head=head,
                holder_of_key=_holder(guard, known),
            )
    plan = _plan(job_id, before or {}, change, version, commit_id, now, known)
    letters = [
        replayed(guard, known.record(guard.letter) or {}, job_id, now)
        for guard in change.guards
        if isinstance(guard, Replays)
    ]
    return replace(plan, letters=tuple(letters)) if letters else plan


def _plan(
    job_id: str,
    before: Fields,
    change: Change,
    version: int,
    commit_id: str,
    now: int,
    known: Known,
) -> Plan:
    commits = [*names_in(before, "commits"), commit_id][-COMMITS_KEPT:]
    after = {
        **written(before, change.fields, now),
        "id": job_id,
        "version": version + 1,
        "commits": ",".join(commits),
    }
    shown = before or after
    return Plan(
        fields=after,
        version=version + 1,
        moves={
            (index := _named(move, shown)): _score(move, index, now, known) for move in change.moves
        },
        due=_due(change.due, after, now, known.due(job_id) if change.due.no_later else None),
        event=Event(number=version + 1, at=now, name=change.name, facts=change.facts),
        keys=(
            *change.takes,
            *(guard.key for guard in change.guards if isinstance(guard, Unique)),
        ),
        hints=hints_of(job_id, before, after, change),
    )


def interpret_note(before: Fields, note: Note, now: int) -> tuple[Fields, tuple[Hint, ...]] | None:
    """The head after the note and what is relayed; None when the note's claim does not hold.

    Nor is anything noted in a record of a newer format.
    """
    if is_newer(before):
        return None
    if note.claim is not None:
        runs = before.get("state") in _HOLDING_STATES
        if not runs or number(before, "claims") != note.claim:
            return None
    after = written(before, note.fields, now)
    changed = note.watch or note.unwatch
    if changed:
        bare = changed.removesuffix(WATCH_END)
        watchers = names_in(before, "watchers")
        kept = [name for name in watchers if name.removesuffix(WATCH_END) != bare]
        if note.watch:
            # Who hears of everything hears of the end, too.
            kept.append(bare if bare in watchers else note.watch)
        after["watchers"] = ",".join(kept)
    hints = [
        Hint(ingress_channel(name), hint)
        for name in names_in(after, "watchers")
        if not name.endswith(WATCH_END)
        for hint in note.relay
    ]
    return after, tuple(hints)


def written(before: Fields, fields: Mapping[str, Value], now: int) -> dict[str, str | int]:
    """The fields after the operations."""
    after = dict(before)
    for name, value in fields.items():
        match value:
            case Add(amount=amount):
                after[name] = number(before, name) + amount
            case Now(after=later):
                after[name] = now + later
            case AtLeast(value=least):
                after[name] = max(number(before, name), least)
            case str():
                after[name] = str(value)  # a state is stored as its plain word
            case _:
                after[name] = value
    return after


def number(fields: Fields, name: str) -> int:
    return int(fields.get(name) or 0)


# --- leases, judged by their newest beats


def is_alive(beat_at: int | None, now: int, timings: Timings) -> bool:
    return beat_at is not None and now - beat_at < timings.lease_ms


def is_silent(newest_beat: int | None, now: int, timings: Timings) -> bool:
    """Nobody has beaten for so long that the store itself must have been away."""
    return newest_beat is not None and now - newest_beat > timings.silence_ms


# --- the parts of a plan


def _holds(guard: Guard, job_id: str, head: Fields, now: int, known: Known) -> bool:
    match guard:
        case LeaseAlive(lease=lease):
            return known.lease_alive(lease)
        case LeaseGone(lease=lease):
            return known.lease_gone(lease)
        case TimeReached(name=name):
            return now >= number(head, name)
        case TimeBefore(name=name):
            return not number(head, name) or now < number(head, name)
        case OneOf(name=name, words=words):
            return head.get(name) in words
        case Room():
            return known.has_room(guard)
        case Unique(key=key):
            return known.holder(key) in {None, job_id}
        case Free(key=key, besides=besides):
            return known.holder(key) in {None, job_id, besides}
        case Replays(letter=letter):
            return may_replay(known.record(letter) or {}, job_id)
        case BatchRuns(batch=batch):
            record = known.record(batch) or {}
            return record.get("state") == JobState.RUNNING and not is_newer(record)


def _holder(guard: Guard, known: Known) -> str:
    """Whose the thing is that a refused guard wanted."""
    match guard:
        case Unique(key=key) | Free(key=key):
            return known.holder(key) or ""
        case Replays(letter=letter):
            return replay_of(known.record(letter) or {})
        case _:
            return ""


def _due(due: Due, head: Fields, now: int, stands: float | None) -> float:
    times: list[float] = [at for name in due.fields if (at := number(head, name)) > 0]
    if due.after is not None:
        times.append(now + due.after)
    soonest = min(times, default=now)  # every record stands in the due index, come what may
    return soonest if stands is None else min(soonest, stands)


def _score(move: Move, index: str, now: int, known: Known) -> float | None:
    match move.score:
        case Now(after=later):
            return now + later
        case Next():
            return known.highest(index) + 1
        case score:
            return score


def _named(move: Move, head: Fields) -> str:
    return filled(move.index, head) if move.of_head else move.index


def filled(template: str, head: Fields) -> str:
    """The name of an index, with the head's values in the place of `{field}`."""
    return _TEMPLATE.sub(lambda found: str(head.get(found[1], "")), template)
