"""A note as the Lua scripts read it, and answers of scripts as values."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from common.jobs.change import (
    Add,
    AtLeast,
    Done,
    Note,
    Now,
    Refused,
    Value,
)
from common.jobs.head import Head, decode_head
from common.store.base import Timings


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


def read_head(flat: list[bytes] | dict[bytes, bytes]) -> Head | None:
    """A head from the flat list of a script or the map of HGETALL; None when empty."""
    return decode_head(_pairs(flat)) if flat else None


def fields_of(flat: list[bytes] | dict[bytes, bytes]) -> dict[str, str | int]:
    return {key.decode(): value.decode() for key, value in _pairs(flat).items()}


def _pairs(flat: list[bytes] | dict[bytes, bytes]) -> dict[bytes, bytes]:
    return flat if isinstance(flat, dict) else dict(zip(flat[::2], flat[1::2], strict=True))


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
