"""The store's contract: commits, fields and parts. Every store, one suite."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import anyio
import pytest

from common.jobs.change import (
    Add,
    AtLeast,
    Done,
    Now,
    Refused,
    Room,
    TimeReached,
    Unique,
    Value,
)
from common.jobs.head import decode_call
from common.jobs.indexes import queue_index
from common.jobs.state import JobState
from common.jobs.transitions import CALL, FIRST_CHECK_MS, claim, submit
from common.store.base import COMMITS_KEPT
from tests.support.ledger import SUBMISSION, Ledger, a_job_id, touch

pytestmark = pytest.mark.anyio

# --- creation


async def test_a_submission_becomes_a_record_dated_by_the_store(ledger: Ledger) -> None:
    job_id = a_job_id()
    before = await ledger.store.now()
    answer = await ledger.store.commit(job_id, submit(SUBMISSION, before), version=0)
    assert isinstance(answer, Done)
    head = await ledger.head(job_id)
    assert (head.id, head.version, head.state) == (job_id, 1, JobState.QUEUED)
    assert (head.tool, head.queue, head.caller) == ("exporter__export", "exporter", "local")
    assert head.spec == SUBMISSION.spec
    assert before <= head.created_at == answer.now <= await ledger.store.now()
    assert await ledger.due_at(head) == answer.now + FIRST_CHECK_MS
    call = await ledger.store.part(job_id, CALL)
    assert call is not None
    assert decode_call(call) == SUBMISSION.call


async def test_a_record_is_created_once(ledger: Ledger) -> None:
    head = await ledger.submitted()
    answer = await ledger.store.commit(head.id, submit(SUBMISSION, 0), version=0)
    assert isinstance(answer, Refused)
    assert (answer.guard, answer.head) == ("version", head)


async def test_nothing_is_known_of_a_job_without_a_record(ledger: Ledger) -> None:
    job_id = a_job_id()
    assert await ledger.store.get(job_id) is None
    assert await ledger.store.part(job_id, CALL) is None
    assert await ledger.store.events(job_id) == []
    answer = await ledger.store.commit(job_id, touch(), version=3)
    assert isinstance(answer, Refused)
    assert (answer.guard, answer.head) == ("missing", None)
    assert await ledger.store.get(job_id) is None


# --- versions and repetitions


async def test_every_commit_is_a_version(ledger: Ledger) -> None:
    head = await ledger.submitted()
    for version in (2, 3, 4):
        head = await ledger.done(head, touch())
        assert head.version == version


@pytest.mark.parametrize("stale", [0, 1, 3])
async def test_another_version_is_refused_and_shown(ledger: Ledger, stale: int) -> None:
    head = await ledger.done(await ledger.submitted(), touch())
    answer = await ledger.store.commit(head.id, touch(), version=stale)
    assert isinstance(answer, Refused)
    assert (answer.guard, answer.head) == ("version", head)
    assert await ledger.head(head.id) == head


async def test_a_creation_whose_answer_was_lost_is_done(ledger: Ledger) -> None:
    job_id, change = a_job_id(), submit(SUBMISSION, 0)
    first = await ledger.store.commit(job_id, change, version=0, commit_id="c1")
    again = await ledger.store.commit(job_id, change, version=0, commit_id="c1")
    assert isinstance(first, Done)
    assert isinstance(again, Done)
    assert again.version == first.version == 1
    assert len(await ledger.store.events(job_id)) == 1


async def test_a_claim_whose_answer_was_lost_carries_head_and_call_again(ledger: Ledger) -> None:
    head = await ledger.submitted()
    await ledger.store.beat("w1", {})
    answers = [
        await ledger.store.commit(head.id, claim("w1"), version=1, commit_id="c1") for _ in range(2)
    ]
    for answer in answers:
        assert isinstance(answer, Done)
        assert (answer.version, answer.head.claims, answer.head.tries) == (2, 1, 1)
        assert set(answer.parts) == {CALL}


async def test_a_repeated_commit_is_done_whatever_happened_since(ledger: Ledger) -> None:
    head = await ledger.submitted()
    guarded = touch(guards=(TimeReached("not_before"),))
    first = await ledger.store.commit(head.id, guarded, version=1, commit_id="mine")
    assert isinstance(first, Done)
    for version in range(2, 1 + COMMITS_KEPT):
        closing = touch(fields={"not_before": Now(60_000)})
        await ledger.store.commit(head.id, closing, version=version)
        answer = await ledger.store.commit(head.id, guarded, version=1, commit_id="mine")
        assert isinstance(answer, Done)
    assert (await ledger.head(head.id)).version == 1 + COMMITS_KEPT


async def test_only_the_newest_commits_are_remembered(ledger: Ledger) -> None:
    head = await ledger.submitted()
    for version in range(1, 2 + COMMITS_KEPT):
        await ledger.store.commit(head.id, touch(), version=version, commit_id=f"c{version}")
    for kept in range(2, 2 + COMMITS_KEPT):
        answer = await ledger.store.commit(head.id, touch(), version=kept, commit_id=f"c{kept}")
        assert isinstance(answer, Done)
    answer = await ledger.store.commit(head.id, touch(), version=1, commit_id="c1")
    assert isinstance(answer, Refused)
    assert answer.guard == "version"


async def test_a_commit_id_is_compared_whole(ledger: Ledger) -> None:
    head = await ledger.submitted()
    await ledger.store.commit(head.id, touch(), version=1, commit_id="abc")
    for part in ("ab", "bc", "a"):
        answer = await ledger.store.commit(head.id, touch(), version=1, commit_id=part)
        assert isinstance(answer, Refused)


# --- fields


async def test_field_operations(ledger: Ledger) -> None:
    head = await ledger.submitted()
    fields: dict[str, Value] = {"tries": Add(2), "checks": AtLeast(3), "lost_at": Now(-5)}
    answer = await ledger.store.commit(
        head.id, touch(fields=fields | {"reason": "because"}), version=1
    )
    assert isinstance(answer, Done)
    head = await ledger.head(head.id)
    assert (head.tries, head.checks, head.reason) == (2, 3, "because")
    assert head.lost_at == answer.now - 5
    fields = {"tries": Add(-1), "checks": AtLeast(2), "reason": "", "lost_at": 0}
    head = await ledger.done(head, touch(fields=fields))
    assert (head.tries, head.checks, head.reason, head.lost_at) == (1, 3, "", 0)


async def test_text_is_kept_as_it_is(ledger: Ledger) -> None:
    text = 'line\nbreak, "quotes", {state}, 日本, \\ and \u2028'
    head = await ledger.done(await ledger.submitted(), touch(fields={"reason": text}))
    assert head.reason == text


# --- parts


async def test_parts_are_written_replaced_and_returned(ledger: Ledger) -> None:
    raw = bytes(range(256))
    head = await ledger.done(await ledger.submitted(), touch(parts={"result": b"old"}))
    change = touch(parts={"result": raw}, returning=("call", "head", "result", "nothing"))
    answer = await ledger.store.commit(head.id, change, version=head.version)
    assert isinstance(answer, Done)
    assert set(answer.parts) == {"call", "result"}
    assert answer.parts["result"] == raw == await ledger.store.part(head.id, "result")
    assert answer.head == await ledger.head(head.id)


async def test_done_carries_only_what_was_asked_for(ledger: Ledger) -> None:
    head = await ledger.submitted()
    answer = await ledger.store.commit(head.id, touch(), version=1)
    assert isinstance(answer, Done)
    assert (answer.head, answer.parts) == (None, {})


# --- when several want the same


async def test_of_many_claims_at_once_exactly_one_is_done(ledger: Ledger) -> None:
    head = await ledger.submitted()
    workers = [f"w{number}" for number in range(10)]
    for worker in workers:
        await ledger.store.beat(worker, {})
    answers = await together(
        *(lambda w=w: ledger.store.commit(head.id, claim(w), version=1) for w in workers)
    )
    winners = [answer for answer in answers if isinstance(answer, Done)]
    assert len(winners) == 1
    assert {answer.guard for answer in answers if isinstance(answer, Refused)} == {"version"}
    after = await ledger.head(head.id)
    assert (after.version, after.claims, winners[0].head) == (2, 1, after)


async def test_room_holds_when_many_come_at_once(ledger: Ledger) -> None:
    change = submit(SUBMISSION, 0, (Room(queue_index("exporter"), 5),))
    answers = await together(
        *(lambda: ledger.store.commit(a_job_id(), change, version=0) for _ in range(20))
    )
    assert sum(isinstance(answer, Done) for answer in answers) == 5
    assert await ledger.store.count(queue_index("exporter")) == 5


async def test_a_key_goes_to_exactly_one_of_many(ledger: Ledger) -> None:
    change = submit(SUBMISSION, 0, (Unique("one"),))
    ids = [a_job_id() for _ in range(10)]
    answers = await together(*(lambda i=i: ledger.store.commit(i, change, version=0) for i in ids))
    (winner,) = [i for i, answer in zip(ids, answers, strict=True) if isinstance(answer, Done)]
    holders = {answer.holder_of_key for answer in answers if isinstance(answer, Refused)}
    assert holders == {winner}


async def together(*calls: Callable[[], Coroutine[Any, Any, Any]]) -> list[Any]:
    """The answers of calls that are all under way at once."""
    answers: list[Any] = [None] * len(calls)

    async def one(position: int, call: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        answers[position] = await call()

    async with anyio.create_task_group() as group:
        for position, call in enumerate(calls):
            group.start_soon(one, position, call)
    return answers


# --- removal


async def test_removal_takes_everything_and_only_at_its_version(ledger: Ledger) -> None:
    head = await ledger.claimed()
    head = await ledger.done(head, touch(parts={"result": b"r"}))
    assert not await ledger.store.remove(head.id, version=head.version - 1)
    assert await ledger.store.get(head.id) == head
    assert await ledger.store.remove(head.id, version=head.version)
    assert not await ledger.store.remove(head.id, version=head.version)
    assert await ledger.store.get(head.id) is None
    assert await ledger.store.part(head.id, CALL) is None
    assert await ledger.store.part(head.id, "result") is None
    assert await ledger.store.events(head.id) == []
    for index in ("all", "due", "state:running", "caller:local", "owner:w1"):
        assert await ledger.store.count(index) == 0, index


async def test_an_id_may_be_used_again_after_removal(ledger: Ledger) -> None:
    head = await ledger.submitted()
    await ledger.store.remove(head.id, version=1)
    answer = await ledger.store.commit(head.id, submit(SUBMISSION, 0), version=0)
    assert isinstance(answer, Done)
    assert await ledger.head(head.id) == replace(
        head, created_at=answer.now, commits=(await ledger.head(head.id)).commits
    )
