"""A change or a note as the JSON that the Lua scripts read, and their answers as values."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from common.jobs.change import (
    Add,
    AtLeast,
    BatchRuns,
    Change,
    Done,
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
from common.jobs.head import Head, decode_head
from common.store.base import Timings


def commit_request(job_id: str, change: Change, version: int, commit_id: str) -> bytes:
    return orjson.dumps(
        {
            "id": job_id,
            "version": version,
            "commit": commit_id,
            "name": change.name,
            "fields": _fields(change.fields),
            "guards": [_guard(guard) for guard in change.guards],
            "moves": [_move(move) for move in change.moves],
            "takes": change.takes,
            "after": change.due.after,
            "due_fields": change.due.fields,
            "wake_owner": change.wake_owner,
            "counting": change.counting,
            "returning": change.returning,
        }
    )


def note_request(job_id: str, note: Note) -> bytes:
    return orjson.dumps(
        {
            "id": job_id,
            "fields": _fields(note.fields),
            "claim": note.claim,
            "watch": note.watch,
            "unwatch": note.unwatch,
            "hints": len(note.relay),
            "mark": note.output.mark if note.output else "",
            "skipped": note.output.skipped if note.output else 0,
            "checkpoint": note.checkpoint is not None,
        }
    )


def notes_request(notes: Iterable[tuple[str, Mapping[str, Value]]]) -> bytes:
    return orjson.dumps([[job_id, _fields(fields)] for job_id, fields in notes])


def timings_request(timings: Timings) -> dict[str, int]:
    return {"lease": timings.lease_ms, "silence": timings.silence_ms, "grace": timings.grace_ms}


def read_answer(reply: Sequence[Any], returning: tuple[str, ...]) -> Done | Refused:
    if reply[0] == 0:
        return Refused(
            guard=reply[1].decode(),
            now=int(reply[2]),
            head=read_head(reply[3]),
            holder_of_key=reply[4].decode() if len(reply) > 4 else "",
        )
    names = [name for name in returning if name != "head"]
    bodies = zip(names, reply[5:], strict=False)
    return Done(
        version=int(reply[1]),
        now=int(reply[2]),
        head=read_head(reply[3]),
        counted=int(reply[4]),
        parts={name: body for name, body in bodies if body is not None},
    )


def read_head(flat: Sequence[bytes] | Mapping[bytes, bytes]) -> Head | None:
    """A head from the flat list of a script or the map of HGETALL; None when empty."""
    return decode_head(fields_of(flat)) if flat else None


def fields_of(flat: Sequence[bytes] | Mapping[bytes, bytes]) -> dict[str, str | int]:
    pairs = flat if isinstance(flat, Mapping) else dict(zip(flat[::2], flat[1::2], strict=True))
    return {key.decode(): value.decode() for key, value in pairs.items()}


def read_info(text: bytes) -> dict[str, str]:
    """The lines of INFO, `name:value`."""
    pairs = (line.partition(":") for line in text.decode().splitlines())
    return {name: value for name, separator, value in pairs if separator}


def _fields(fields: Mapping[str, Value]) -> list[list[str | int]]:
    return [[name, *_value(value)] for name, value in fields.items()]


def _value(value: Value) -> tuple[str, str | int]:
    match value:
        case Add(amount=amount):
            return "+", amount
        case Now(after=after):
            return "now", after
        case AtLeast(value=least):
            return "max", least
        case _:
            return "=", value


def _guard(guard: Guard) -> list[str | float | tuple[str, ...] | None]:
    kind = type(guard).__name__
    match guard:
        case LeaseAlive(lease=name) | LeaseGone(lease=name):
            return [kind, name]
        case TimeReached(name=name) | TimeBefore(name=name):
            return [kind, name]
        case OneOf(name=name, words=words):
            return [kind, name, words]
        case Room(index=name, limit=limit, at_least=least):
            return [kind, name, limit, least]
        case Unique(key=name):
            return [kind, name]
        case Free(key=name, besides=job):
            return [kind, name, job]
        case Replays(letter=letter, by=by):
            return [kind, letter, by]
        case BatchRuns(batch=batch):
            return [kind, batch]


def _move(move: Move) -> list[str | float | bool]:
    match move.score:
        case None:
            return [move.index, move.of_head, "out"]
        case Now(after=after):
            return [move.index, move.of_head, "now", after]
        case Next():
            return [move.index, move.of_head, "next"]
        case score:
            return [move.index, move.of_head, "=", score]
