"""A store full of jobs, fast: each record in one commit, with the fields, index entries and parts
that its ledger's own transitions leave behind.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from common.errors import BACKEND_GONE, TIMED_OUT
from common.jobs.change import Change, Done, Due, Move, Room
from common.jobs.endings import RetentionMs, bury, cancel, complete, fail, lose
from common.jobs.head import Head, Spec, StoredCall, decode_head
from common.jobs.ids import new_job_id
from common.jobs.indexes import owner_index
from common.jobs.state import JobState
from common.jobs.transitions import Submission, claim, submit
from common.store.base import JobStore
from common.store.interpret import Plan, interpret
from common.store.replaying import Fields

DAY_MS = 86_400_000
SPAN_MS = 7 * DAY_MS  # over which finished jobs are spread
WAIT_MS = 3_600_000  # over which waiting ones are
AT_ONCE = 100  # commits under way; a busy disk takes its time
KEPT = RetentionMs(
    answered=30 * DAY_MS, completed=30 * DAY_MS, failed=30 * DAY_MS, dead=30 * DAY_MS
)
RARE_TOOL, RARE_CALLER = "reports__yearly", "auditor"
RARE_ERROR = "disk quota of volume 17 is used up"
WORKER = "worker-node3-4711-ab12cd"

_TOOLS = [(f"exporter__export_{n}", 100 // (n + 1)) for n in range(20)]
_CALLERS = [(f"key-{n:08x}", 60 // (n + 1) + 1) for n in range(40)]
_ENDS = [
    (JobState.COMPLETED, 960),
    (JobState.FAILED, 20),
    (JobState.CANCELLED, 10),
    (JobState.DEAD, 6),
    (JobState.LOST, 4),
]
_ERRORS = (
    "connection to db-{n}.internal refused",
    "row {n}: the column 'amount' is no number",
    "rate limit of {n} requests a minute reached",
    "the report of customer {n} was not found",
)


@dataclass(frozen=True, slots=True)
class Record:
    job_id: str
    change: Change


def finished(count: int, now: int, seed: int = 1) -> Iterator[Record]:
    """Jobs that have ended, the oldest first; each thousandth is of a rare tool or caller."""
    chance = random.Random(seed)
    for number in range(count):
        created = now - SPAN_MS + number * (SPAN_MS - DAY_MS // 24) // max(1, count)
        submission = _submission(chance, number)
        ended = created + chance.randrange(50, 60_000)
        state = _one(chance, _ENDS)
        life = _Life(submission, created)
        life.live(lambda _: claim(WORKER), created + 20)
        life.live(_ending(state, chance), ended)
        yield life.record(now, {"confirmed": 1})


def waiting(count: int, now: int, seed: int = 2) -> Iterator[Record]:
    """Jobs in their queues, confirmed by the broker, the oldest first."""
    chance = random.Random(seed)
    for number in range(count):
        created = now - WAIT_MS + number * WAIT_MS // max(1, count)
        submission = replace(_submission(chance, number), queue_ms=30 * DAY_MS)
        yield _Life(submission, created).record(now, {"confirmed": 1})


async def fill(store: JobStore, records: Iterator[Record]) -> int:
    """Commit them all; how many that were."""
    gate, count = asyncio.Semaphore(AT_ONCE), 0

    async def one(record: Record) -> None:
        try:
            answer = await store.commit(record.job_id, record.change, version=0)
            assert isinstance(answer, Done), answer
        finally:
            gate.release()

    async with asyncio.TaskGroup() as group:
        for record in records:
            await gate.acquire()
            group.create_task(one(record))
            count += 1
    return count


class _Life:
    """A record as its transitions leave it, one after the other."""

    def __init__(self, submission: Submission, created: int) -> None:
        self.job_id = new_job_id(created)
        self._fields: Fields | None = None
        self._version = 0
        self._moves: dict[str, float | None] = {}
        self._parts: dict[str, bytes] = {}
        self._last = self._lived(submit(submission, created), created)

    def live(self, step: Callable[[Head], Change], at: int) -> None:
        self._last = self._lived(step(decode_head(self._fields or {})), at)

    def _lived(self, change: Change, at: int) -> Plan:
        plan = interpret(
            self.job_id,
            self._fields,
            change,
            version=self._version,
            commit_id="one",
            now=at,
            known=_Everything(),
        )
        assert isinstance(plan, Plan), plan
        self._fields = {**plan.fields, "commits": ""}
        self._version = plan.version
        self._moves |= plan.moves
        self._parts |= change.parts
        return plan

    def record(self, now: int, noted: Mapping[str, int]) -> Record:
        """All of it in one commit."""
        own = {"id", "version", "commits"}  # the commit writes these
        fields = {name: value for name, value in (self._fields or {}).items() if name not in own}
        entries = [Move(name, at) for name, at in self._moves.items() if at is not None]
        change = Change(
            name=self._last.event.name,
            fields={**fields, **noted},
            due=Due(after=max(DAY_MS, round(self._last.due - now))),  # nobody looks meanwhile
            moves=tuple(entries),
            facts=self._last.event.facts,
            parts=self._parts,
        )
        return Record(self.job_id, change)


class _Everything:
    """Guards hold: nobody else is there."""

    def lease_alive(self, lease: str) -> bool:
        return bool(lease)

    def lease_gone(self, lease: str) -> bool:
        return bool(lease)

    def has_room(self, guard: Room) -> bool:
        return guard.limit > 0

    def highest(self, index: str) -> float:
        return float(not index)

    def due(self, job_id: str) -> float | None:
        return None if job_id else 0.0

    def holder(self, key: str) -> str | None:
        return key and None

    def record(self, job_id: str) -> Fields | None:
        return {} if job_id else None


def _submission(chance: random.Random, number: int) -> Submission:
    tool = RARE_TOOL if number % 1000 == 500 else _one(chance, _TOOLS)
    caller = RARE_CALLER if number % 1000 == 700 else _one(chance, _CALLERS)
    backend, _, name = tool.partition("__")
    return Submission(
        tool=tool,
        queue=backend,
        caller=caller,
        spec=Spec(
            backend=backend,
            backend_tool=name,
            tool_version="6f1d0c2b9a47e85d",
            priority=4,
            request_id=f"{chance.getrandbits(64):016x}",
        ),
        call=StoredCall(arguments={"customer": number, "format": "csv"}),
    )


def _ending(state: JobState, chance: random.Random) -> Callable[[Head], Change]:
    text = chance.choice(_ERRORS).format(n=chance.randrange(1000))
    if chance.randrange(500) == 0:
        text = RARE_ERROR
    match state:
        case JobState.FAILED:
            return lambda head: fail(head, {"code": TIMED_OUT, "message": text}, KEPT)
        case JobState.DEAD:
            return lambda head: bury(head, {"code": BACKEND_GONE, "message": text}, KEPT)
        case JobState.LOST:
            return lambda head: lose(head, text, KEPT, seen_gone=False)
        case JobState.CANCELLED:
            return _cancelled
        case _:
            body = b'{"content":[{"type":"text","text":"3 rows"}],"isError":false}'
            return lambda head: complete(head, body, KEPT, tool_error=False)


def _cancelled(head: Head) -> Change:
    """While it waited: nothing of it runs on."""
    change = cancel(replace(head, owner=""), "cancelled by its caller", KEPT)
    return replace(change, moves=(*change.moves, Move(owner_index(head.owner), None)))


def _one(chance: random.Random, weighted: Sequence[tuple[Any, int]]) -> Any:
    names, weights = zip(*weighted, strict=True)
    return chance.choices(names, weights)[0]
