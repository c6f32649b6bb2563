"""The router's event stream out of bytes: its own form, one line of JSON in each event."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    name: str  # change | snapshot | job | progress | log | output | dropped | end | problem
    id: str  # empty: none of its own
    data: dict[str, Any]


def read_events(chunks: Iterable[bytes]) -> Iterator[StreamEvent]:
    """The events in these pieces of a body; one that was cut off never was."""
    rest: list[bytes] = []
    for chunk in chunks:
        rest.append(chunk)
        if b"\n" not in chunk:
            continue  # the middle of a large result
        *blocks, last = b"".join(rest).split(b"\n\n")
        rest = [last]
        yield from (event for block in blocks if (event := _event(block)) is not None)


def _event(block: bytes) -> StreamEvent | None:
    fields = dict(line.split(b": ", 1) for line in block.split(b"\n") if b": " in line)
    if b"event" not in fields or b"data" not in fields:
        return None  # a keep-alive
    return StreamEvent(
        name=fields[b"event"].decode(),
        id=fields.get(b"id", b"").decode(),
        data=json.loads(fields[b"data"]),
    )
