"""What the commands ask a router about batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from common.wire import canonical_json
from longhaul.batch.results import Order
from longhaul.batch.rows import Rows
from longhaul.client import Client, at

Batch = dict[str, Any]

PATH = "/v1/batches"
PAGE = 1000  # results in one answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A batch as it was asked for. The same again, under the same key, is the same batch."""

    tool: str
    rows: Rows
    in_flight: int | None
    priority: int | None
    key: str
    callback: str | None = None  # no part of the key: the router refuses another one

    @property
    def options(self) -> dict[str, int | str]:
        given = {
            "in_flight": self.in_flight,
            "priority": self.priority,
            "callback": self.callback,
        }
        return {name: value for name, value in given.items() if value is not None}


def derived_key(tool: str, rows: Rows, in_flight: int | None, priority: int | None) -> str:
    """The same tool, rows and options always have this one: to start again is to go on."""
    facts = [tool, rows.digest, rows.format, in_flight, priority]
    return f"batch-{sha256(canonical_json(facts)).hexdigest()}"


def submit(router: Client, wanted: Wanted) -> Batch:
    headers = {
        "content-type": wanted.rows.format.media_type,
        "content-length": str(wanted.rows.size),
        "idempotency-key": wanted.key,
    }
    pieces = wanted.rows.pieces()
    return router.upload(PATH, pieces, headers, tool=wanted.tool, **wanted.options)


def look(router: Client, batch: str) -> Batch:
    return router.get(at("batches", batch))


def cancel(router: Client, batch: str) -> Batch:
    return router.delete(at("batches", batch))


def retry(router: Client, batch: str, *, lost: bool) -> Batch:
    return router.post(at("batches", batch, "retry"), {"lost": lost})


def result_lines(router: Client, batch: str, after: int, order: Order) -> Iterator[bytes]:
    """At most a page of them, whole lines only.

    Raises:
        ConnectionLostError: It broke on the way; the lines before are good.
    """
    path = at("batches", batch, "results")
    rest: list[bytes] = []
    for piece in router.pieces(path, after=after, order=str(order), limit=PAGE):
        if b"\n" not in piece:
            rest.append(piece)  # the middle of a large result
            continue
        *lines, last = b"".join([*rest, piece]).split(b"\n")
        rest = [last]
        yield from (line for line in lines if line)
