"""A store with its notifier, as the contract suite uses them, and jobs brought to a state."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from common.clock import SystemClock
from common.jobs.callbacks import CallbackState
from common.jobs.change import Change, Done, Due, Guard, Move, Refused, Value
from common.jobs.endings import RetentionMs
from common.jobs.head import Head, Spec, StoredCall
from common.jobs.ids import new_job_id
from common.jobs.indexes import (
    ALL,
    ALL_BATCHES,
    DUE,
    REPLAYED,
    SCHEDULED,
    batches_index,
    callback_index,
    caller_index,
    held_index,
    owner_index,
    queue_index,
    rows_index,
    state_index,
    tool_state_index,
    window_index,
)
from common.jobs.rows import REFUSED
from common.jobs.state import LETTERS, JobState
from common.jobs.transitions import Submission, claim, submit
from common.notifier.base import Notifier
from common.notifier.open import open_notifier
from common.store.base import JobStore, Timings
from common.store.open import open_store
from tests.support.waiting import until_answered

RETENTION = RetentionMs(answered=600_000, completed=1_000_000, failed=2_000_000, dead=3_000_000)
SUBMISSION = Submission(
    tool="exporter__export",
    queue="exporter",
    caller="local",
    spec=Spec(backend="exporter", backend_tool="export", tool_version="v1", priority=4),
    call=StoredCall(arguments={"rows": 3}),
)
_IN_QUEUE = frozenset({JobState.HELD, JobState.QUEUED, JobState.WAITING})


def a_job_id() -> str:
    return new_job_id(int(SystemClock().now() * 1000))


def prioritised(priority: int) -> Submission:
    return replace(SUBMISSION, spec=replace(SUBMISSION.spec, priority=priority))


def touch(
    name: str = "touched",
    fields: Mapping[str, Value] | None = None,
    *,
    guards: tuple[Guard, ...] = (),
    moves: tuple[Move, ...] = (),
    takes: tuple[str, ...] = (),
    due: Due | None = None,
    facts: Mapping[str, Any] | None = None,
    parts: Mapping[str, bytes] | None = None,
    returning: tuple[str, ...] = (),
) -> Change:
    """A change that moves no state, to show one thing of the language."""
    return Change(
        name=name,
        fields=fields or {},
        guards=guards,
        moves=moves,
        takes=takes,
        due=due or Due(after=60_000),
        facts=facts or {},
        parts=parts or {},
        returning=returning,
    )


@dataclass(frozen=True, slots=True)
class Ledger:
    store: JobStore
    notifier: Notifier

    async def done(self, head: Head, change: Change) -> Head:
        """Commit at the head's version, which must be done; the head afterwards."""
        answer = await self.store.commit(head.id, change, version=head.version)
        assert isinstance(answer, Done), answer
        return await self.head(head.id)

    async def refused(self, head: Head, change: Change) -> Refused:
        """Commit at the head's version, which must be refused and leave the record as it was."""
        before = await self.store.get(head.id)
        answer = await self.store.commit(head.id, change, version=head.version)
        assert isinstance(answer, Refused), answer
        assert await self.store.get(head.id) == before
        return answer

    async def head(self, job_id: str) -> Head:
        head = await self.store.get(job_id)
        assert head is not None
        return head

    async def submitted(
        self, submission: Submission = SUBMISSION, guards: tuple[Guard, ...] = ()
    ) -> Head:
        job_id = a_job_id()
        change = submit(submission, await self.store.now(), guards)
        answer = await self.store.commit(job_id, change, version=0)
        assert isinstance(answer, Done), answer
        return await self.head(job_id)

    async def claimed(self, submission: Submission = SUBMISSION, worker: str = "w1") -> Head:
        head = await self.submitted(submission)
        await self.store.beat(worker, {})
        return await self.done(head, claim(worker))

    async def until_later_than(self, ms: int) -> None:
        """By the store's clock."""

        async def later() -> bool:
            return await self.store.now() > ms

        await until_answered(later)

    async def members(self, index: str) -> set[str]:
        return {head.id for head in await all_pages(self.store, index)}

    async def due_at(self, head: Head) -> float:
        score = await self.store.score(DUE, head.id)
        assert score is not None
        return score


async def all_pages(
    store: JobStore, index: str, *, limit: int = 100, newest_first: bool = True
) -> list[Head]:
    page = await store.page(index, limit=limit, newest_first=newest_first)
    heads = list(page.heads)
    while page.cursor is not None:
        page = await store.page(index, limit=limit, cursor=page.cursor, newest_first=newest_first)
        heads += page.heads
    return heads


async def check_invariants(ledger: Ledger) -> None:
    """Every record has exactly one due entry and stands in the indexes of its head, in no other."""
    heads = await all_pages(ledger.store, ALL)
    batches = await all_pages(ledger.store, ALL_BATCHES)
    refused = [await _refused_rows(ledger, batch) for batch in batches]
    assert await ledger.store.count(DUE) == len(heads) + len(batches) + sum(refused)
    for head in heads:
        assert await ledger.store.score(DUE, head.id) is not None, head
    expected: dict[str, set[str]] = {state_index(state): set() for state in JobState}
    expected[REPLAYED] = set()
    expected |= {callback_index(state): set() for state in CallbackState}
    expected[SCHEDULED] = set()
    for head in heads:
        for state in JobState:
            expected.setdefault(tool_state_index(head.tool, state), set())
        expected.setdefault(queue_index(head.queue), set())
        expected.setdefault(window_index(head.queue, head.window, head.tool), set())
        expected.setdefault(held_index(head.queue, head.window, head.tool), set())
    for head in heads:
        for index in _indexes_of(head):
            expected.setdefault(index, set()).add(head.id)
    for batch in batches:
        told = [callback_index(batch.callback)] if batch.callback else []
        for index in (batches_index(batch.caller), *told):
            expected.setdefault(index, set()).add(batch.id)
    counted = await ledger.store.counts(list(expected))
    for (index, members), size in zip(expected.items(), counted, strict=True):
        assert size == len(members), index
        assert await ledger.members(index) == members, index


async def _refused_rows(ledger: Ledger, batch: Head) -> int:
    """They are records and nobody's jobs: they stand in no index of jobs."""
    return await ledger.store.count(rows_index(batch.id, REFUSED))


def _indexes_of(head: Head) -> Sequence[str]:
    indexes = [
        ALL,
        state_index(head.state),
        tool_state_index(head.tool, head.state),
    ]
    if head.caller:  # a dead letter without a job has none
        indexes.append(caller_index(head.caller))
    if head.state in _IN_QUEUE:
        indexes.append(queue_index(head.queue))
    if head.state is JobState.HELD:
        held = held_index(head.queue, head.window, head.tool)
        indexes.append(SCHEDULED if head.not_before else held)
    elif head.state in _IN_QUEUE:
        indexes.append(window_index(head.queue, head.window, head.tool))
    if head.owner:
        indexes.append(owner_index(head.owner))
    if head.replayed_as and head.state in LETTERS:
        indexes.append(REPLAYED)
    if head.callback:
        indexes.append(callback_index(head.callback))
    return indexes


@asynccontextmanager
async def open_ledger(
    url: str, namespace: str, timings: Timings | None = None
) -> AsyncIterator[Ledger]:
    """A store and its notifier; the caller removes the namespace."""
    clock = SystemClock()
    async with (
        open_notifier(url, namespace, clock) as notifier,
        open_store(url, namespace, clock, notifier, timings) as store,
    ):
        yield Ledger(store, notifier)
