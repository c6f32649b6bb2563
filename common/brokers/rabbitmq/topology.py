"""Every queue, exchange and binding: the names, and the exact arguments. No input or output.

    jobs ──▶ q.<queue> ──▶ worker          retry.<ms> (fanout) ──▶ retry.<ms> ──▶ back ──▶ q.<queue>
                 └─ refused too often ──▶ dead                  back, no such queue ──▶ unrouted

`jobs` has no alternate exchange, so that a publish to a missing queue comes back and is repeated
once the queue exists. `back` has one, so that nothing is lost when a lane lets go of a token.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from common.brokers.base import LANES_MS

QueueKind = Literal["classic", "quorum"]
Arguments = dict[str, str | int]
Version = tuple[int, int]

QUORUM_SINCE: Version = (4, 3)  # the first whose quorum queues keep strict priorities
CONSUMER_TIMEOUT_MS = 31_536_000_000  # a year: a job may run as long as its clocks allow
MAX_PRIORITY = 9
# A token's own backstop: after so many deliveries without an ack it becomes a dead letter.
DELIVERY_LIMIT = 1_000
# For queues that have nowhere to go on to; a plain 4.3 queue would drop after 20.
ENDLESS_DELIVERIES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    name: str
    type: Literal["direct", "fanout"]
    arguments: Arguments = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    name: str
    arguments: Arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a namespace calls its exchanges and queues; an exchange and its queue share a name."""

    namespace: str

    @property
    def jobs(self) -> str:
        return f"{self.namespace}.v1.jobs"

    @property
    def back(self) -> str:
        return f"{self.namespace}.v1.back"

    @property
    def dead(self) -> str:
        return f"{self.namespace}.v1.dead"

    @property
    def unrouted(self) -> str:
        return f"{self.namespace}.v1.unrouted"

    def lane(self, ms: int) -> str:
        return f"{self.namespace}.v1.retry.{ms}"

    def queue(self, queue: str) -> str:
        return f"{self.namespace}.v1.q.{queue}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Everything that one namespace may have left on a broker."""

    exchanges: tuple[str, ...]
    queues: tuple[str, ...]


def names(namespace: str, queues: Iterable[str] = ()) -> Footprint:
    """What to delete to leave no trace of a namespace that used these work queues."""
    known = Names(namespace=namespace)
    lanes = [known.lane(ms) for ms in LANES_MS]
    return Footprint(
        exchanges=(known.jobs, known.back, known.dead, known.unrouted, *lanes),
        queues=(known.dead, known.unrouted, *lanes, *(known.queue(queue) for queue in queues)),
    )


def exchanges(known: Names) -> tuple[Exchange, ...]:
    return (
        Exchange(name=known.jobs, type="direct"),
        Exchange(name=known.dead, type="fanout"),
        Exchange(name=known.unrouted, type="fanout"),
        Exchange(name=known.back, type="direct", arguments={"alternate-exchange": known.unrouted}),
        *(Exchange(name=known.lane(ms), type="fanout") for ms in LANES_MS),
    )


def standing_queues(known: Names, kind: QueueKind) -> tuple[Queue, ...]:
    """The queues of a namespace whatever its work queues are; each hangs on its own exchange."""
    return (
        _last_stop(known.dead, kind),
        _last_stop(known.unrouted, kind),
        *(_lane(known, ms, kind) for ms in LANES_MS),
    )


def work_queue(known: Names, queue: str, kind: QueueKind) -> Queue:
    """Never with a maximum length: a token that comes back from a lane would be lost there."""
    arguments: Arguments = {"x-queue-type": kind, "x-dead-letter-exchange": known.dead}
    if kind == "classic":
        arguments["x-max-priority"] = MAX_PRIORITY
    else:
        arguments |= _keep_until_taken() | {"x-delivery-limit": DELIVERY_LIMIT}
    return Queue(name=known.queue(queue), arguments=arguments)


def consume_arguments(kind: QueueKind | None, version: Version) -> Arguments:
    """Only a 4.3 quorum queue can be told per consumer to wait for an ack; others refuse it."""
    if kind == "quorum" and version >= QUORUM_SINCE:
        return {"x-consumer-timeout": CONSUMER_TIMEOUT_MS}
    return {}


def choose_kind(wanted: Literal["auto", "classic", "quorum"], version: Version) -> QueueKind:
    if wanted == "auto":
        return "quorum" if version >= QUORUM_SINCE else "classic"
    return wanted


def parse_version(text: str) -> Version:
    """`4.3.6` -> (4, 3); what is no number counts as 0, so that an unknown broker is an old one."""
    major, _, rest = text.partition(".")
    minor = rest.partition(".")[0]
    return (int(major) if major.isdecimal() else 0, int(minor) if minor.isdecimal() else 0)


def _lane(known: Names, ms: int, kind: QueueKind) -> Queue:
    # No dead-letter routing key: the token keeps its own, which is its work queue.
    arguments: Arguments = {
        "x-queue-type": kind,
        "x-message-ttl": ms,
        "x-dead-letter-exchange": known.back,
    }
    if kind == "quorum":
        arguments |= _keep_until_taken()
    return Queue(name=known.lane(ms), arguments=arguments)


def _last_stop(name: str, kind: QueueKind) -> Queue:
    arguments: Arguments = {"x-queue-type": kind}
    if kind == "quorum":
        arguments["x-delivery-limit"] = ENDLESS_DELIVERIES
    return Queue(name=name, arguments=arguments)


def _keep_until_taken() -> Arguments:
    """A quorum queue then dead-letters at least once; the broker asks for the overflow with it."""
    return {"x-dead-letter-strategy": "at-least-once", "x-overflow": "reject-publish"}
