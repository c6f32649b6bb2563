"""Held records in every store: due on time, in their indexes, and released once."""

from dataclasses import replace

import pytest

from common.jobs.change import Done, Move, Now, Refused
from common.jobs.endings import cancel, complete
from common.jobs.head import RECORD_FORMAT, Head
from common.jobs.held import creation, line_up, release, schedule
from common.jobs.indexes import HELD, SCHEDULED, held_index, window_index
from common.jobs.line import WITH_TOKEN
from common.jobs.state import JobState
from common.jobs.transitions import Submission, claim, retry
from tests.support.ledger import (
    RETENTION,
    SUBMISSION,
    Ledger,
    a_job_id,
    check_invariants,
    prioritised,
    touch,
)

pytestmark = pytest.mark.anyio

CLOCKED = replace(
    SUBMISSION, spec=replace(SUBMISSION.spec, queue_ms=5_000), queue_ms=5_000, deadline_ms=9_000
)


async def scheduled(ledger: Ledger, run_at: int | Now, submission: Submission = CLOCKED) -> Head:
    job = a_job_id()
    change = schedule(submission, run_at, await ledger.store.now())
    assert not isinstance(await ledger.store.commit(job, change, version=0), Refused)
    return await ledger.head(job)


async def test_it_is_due_at_its_time_and_not_before(ledger: Ledger) -> None:
    before = await ledger.store.now()
    head = await scheduled(ledger, Now(60_000))
    assert head.state is JobState.HELD
    assert before + 60_000 <= head.run_at == head.not_before <= await ledger.store.now() + 60_000
    assert (head.deadline, head.queue_deadline) == (head.run_at + 9_000, 0)
    assert await ledger.due_at(head) == head.run_at
    assert await ledger.store.oldest(SCHEDULED) == head.run_at
    assert await ledger.store.due(10) == []
    await check_invariants(ledger)


async def test_what_is_due_is_taken_and_released_once(ledger: Ledger) -> None:
    head = await scheduled(ledger, await ledger.store.now() - 5)
    (due,) = await ledger.store.due(10)
    assert due == head
    released = await ledger.done(head, release(head, 8))
    assert released.state is JobState.QUEUED
    assert released.queue_deadline == released.queued_at + 5_000
    assert await ledger.store.count(SCHEDULED) == 0
    again = await ledger.store.commit(head.id, release(head, 8), version=head.version)
    assert isinstance(again, Refused)
    assert again.guard == "version"
    await check_invariants(ledger)


async def test_a_held_job_is_never_claimed(ledger: Ledger) -> None:
    head = await scheduled(ledger, await ledger.store.now() - 5)
    await ledger.store.beat("w1", {})
    assert (await ledger.refused(head, claim("w1"))).guard == "OneOf"


async def test_a_cancelled_one_is_out_of_every_index_of_those_that_wait(ledger: Ledger) -> None:
    head = await scheduled(ledger, Now(60_000))
    await ledger.done(head, cancel(head, "not any more", RETENTION))
    assert await ledger.store.count(SCHEDULED) == 0
    await check_invariants(ledger)


# --- the release window

NAMES = (SUBMISSION.queue, SUBMISSION.caller, SUBMISSION.tool)
LIMIT = 3


async def create(
    ledger: Ledger, submission: Submission = SUBMISSION, limit: int | None = LIMIT
) -> Head | Refused:
    job = a_job_id()
    change = creation(submission, None, await ledger.store.now(), (), limit)
    answer = await ledger.store.commit(job, change, version=0)
    return answer if isinstance(answer, Refused) else await ledger.head(job)


async def queued(ledger: Ledger, submission: Submission = SUBMISSION) -> Head:
    head = await create(ledger, submission)
    assert isinstance(head, Head)
    return head


async def held_back(ledger: Ledger, submission: Submission = SUBMISSION) -> Head:
    head = await create(ledger, submission, None)
    assert isinstance(head, Head)
    assert head.state is JobState.HELD
    return head


async def listed(ledger: Ledger) -> list[str]:
    return [index for _, index in await ledger.store.places(HELD, limit=10)]


async def test_so_many_tokens_of_one_caller_and_tool_and_no_more(ledger: Ledger) -> None:
    for _ in range(LIMIT):
        await queued(ledger)
    refused = await create(ledger)
    assert isinstance(refused, Refused)
    assert refused.guard == "Window"
    for other in (
        replace(SUBMISSION, caller="bob"),
        replace(SUBMISSION, tool="exporter__count"),
        replace(SUBMISSION, queue="other"),
        replace(SUBMISSION, window="a-batch"),
    ):
        assert (await queued(ledger, other)).state is JobState.QUEUED
    await check_invariants(ledger)


async def test_less_urgent_tokens_do_not_count_against_a_job(ledger: Ledger) -> None:
    for _ in range(LIMIT):
        await queued(ledger, prioritised(4))
    assert isinstance(await create(ledger, prioritised(3)), Refused)
    await held_back(ledger, prioritised(4))
    urgent = [await queued(ledger, prioritised(5)) for _ in range(LIMIT)]
    assert len(urgent) == LIMIT
    assert isinstance(await create(ledger, prioritised(5)), Refused)


async def test_a_claim_makes_room_and_says_that_somebody_is_held(ledger: Ledger) -> None:
    first, second, *_ = [await queued(ledger) for _ in range(LIMIT)]
    await ledger.store.beat("w1", {})
    answer = await ledger.store.commit(first.id, claim("w1"), version=first.version)
    assert isinstance(answer, Done)
    assert answer.counted == 0
    await queued(ledger)
    head = await held_back(ledger)
    assert (await ledger.refused(head, release(head, LIMIT))).guard == "Window"
    answer = await ledger.store.commit(second.id, claim("w1"), version=second.version)
    assert isinstance(answer, Done)
    assert answer.counted == 1
    assert (await ledger.done(head, release(head, LIMIT))).state is JobState.QUEUED
    await check_invariants(ledger)


async def test_nobody_overtakes_what_is_held_already(ledger: Ledger) -> None:
    head = await held_back(ledger)
    refused = await create(ledger)
    assert isinstance(refused, Refused)
    assert refused.guard == "Window"
    await ledger.done(head, release(head, LIMIT))
    assert (await queued(ledger)).state is JobState.QUEUED


async def test_the_queues_of_held_jobs_are_listed_while_they_have_any(ledger: Ledger) -> None:
    first, second = await held_back(ledger), await held_back(ledger)
    index = held_index(*NAMES)
    assert await listed(ledger) == [index]
    assert first.created_at <= second.created_at
    await ledger.done(first, release(first, LIMIT))
    assert await listed(ledger) == [index]
    await ledger.done(second, cancel(second, "not any more", RETENTION))
    assert await listed(ledger) == []
    assert await ledger.store.count(window_index(*NAMES)) == 1
    await check_invariants(ledger)


async def test_a_tool_may_be_called_as_a_field_of_the_head(ledger: Ledger) -> None:
    odd = replace(SUBMISSION, tool="{queue}", caller="a:{tool}")
    first = await queued(ledger, odd)
    await held_back(ledger, odd)
    await ledger.store.beat("w1", {})
    answer = await ledger.store.commit(first.id, claim("w1"), version=first.version)
    assert isinstance(answer, Done)
    assert answer.counted == 1
    await check_invariants(ledger)


async def test_its_time_came_but_there_is_no_room(ledger: Ledger) -> None:
    for _ in range(LIMIT):
        await queued(ledger)
    head = await scheduled(ledger, await ledger.store.now() - 5)
    assert (await ledger.refused(head, release(head, LIMIT))).guard == "Window"
    lined_up = await ledger.done(head, line_up(head))
    assert (lined_up.state, lined_up.not_before) == (JobState.HELD, 0)
    assert lined_up.queue_deadline == lined_up.queued_at + 5_000
    assert await ledger.store.count(SCHEDULED) == 0
    assert await listed(ledger) == [held_index(*NAMES)]
    assert (await ledger.done(lined_up, release(lined_up, LIMIT + 1))).state is JobState.QUEUED
    await check_invariants(ledger)


@pytest.mark.parametrize("waits", [True, False])
async def test_the_end_of_one_that_waits_says_that_somebody_is_held(
    ledger: Ledger, waits: bool
) -> None:
    head = await (queued(ledger) if waits else ledger.claimed())
    await held_back(ledger)
    change = cancel(head, "not any more", RETENTION)
    answer = await ledger.store.commit(head.id, change, version=head.version)
    assert isinstance(answer, Done)
    assert answer.counted == waits  # the claim of the other one has said so
    await check_invariants(ledger)


async def test_a_held_record_that_is_removed_leaves_no_name_behind(ledger: Ledger) -> None:
    head = await held_back(ledger)
    assert await ledger.store.remove(head.id, version=head.version)
    assert await listed(ledger) == []


# --- strays: entries of an index whose jobs do not belong there (any more)


async def ended(ledger: Ledger) -> Head:
    head = await ledger.claimed()
    return await ledger.done(head, complete(head, b"{}", RETENTION, tool_error=False))


async def astray(ledger: Ledger, head: Head, index: str, score: float = 4.0) -> Head:
    return await ledger.done(head, touch(moves=(Move(index, score),)))


async def test_what_waits_no_more_is_dropped_from_the_window(ledger: Ledger) -> None:
    window = window_index(*NAMES)
    waiting = await ledger.claimed()
    await ledger.done(waiting, retry(waiting, 60_000, {"message": "refused"}))
    running, first = await ledger.claimed(), await queued(ledger)
    await astray(ledger, running, window)
    await astray(ledger, await ended(ledger), window)
    assert isinstance(await create(ledger), Refused)
    assert await ledger.store.drop_strays(window, WITH_TOKEN, 10) == 2
    assert await ledger.members(window) == {waiting.id, first.id}
    await queued(ledger)
    assert await ledger.store.drop_strays(window, WITH_TOKEN, 10) == 0
    await check_invariants(ledger)


async def test_an_entry_without_a_record_is_dropped(ledger: Ledger) -> None:
    window = window_index("other", *NAMES[1:])
    head = await astray(ledger, await ended(ledger), window)
    assert await ledger.store.remove(head.id, version=head.version)
    assert await ledger.store.drop_strays(window, WITH_TOKEN, 10) == 1
    assert await ledger.store.count(window) == 0


async def test_only_so_many_of_the_highest_are_looked_at(ledger: Ledger) -> None:
    window = window_index(*NAMES)
    low = await astray(ledger, await ended(ledger), window, 3.0)
    for _ in range(2):
        await astray(ledger, await ended(ledger), window, 5.0)
    assert await ledger.store.drop_strays(window, WITH_TOKEN, 2) == 2
    assert await ledger.members(window) == {low.id}
    assert await ledger.store.drop_strays(window, WITH_TOKEN, 2) == 1


async def test_what_only_a_newer_release_can_read_stays(ledger: Ledger) -> None:
    window = window_index("other", *NAMES[1:])
    head = await astray(ledger, await ended(ledger), window)
    await ledger.done(head, touch(fields={"format": RECORD_FORMAT + 1}))
    assert await ledger.store.drop_strays(window, WITH_TOKEN, 10) == 0


async def test_strays_among_the_held_are_dropped_and_their_index_is_listed_no_more(
    ledger: Ledger,
) -> None:
    held = held_index(*NAMES)
    await astray(ledger, await ended(ledger), held)
    head = await held_back(ledger)
    assert await ledger.store.drop_strays(held, (JobState.HELD,), 10) == 1
    assert await ledger.members(held) == {head.id}
    assert await listed(ledger) == [held]
    await astray(ledger, await ledger.done(head, release(head, LIMIT)), held)
    assert await listed(ledger) == [held]
    assert await ledger.store.drop_strays(held, (JobState.HELD,), 10) == 1
    assert await listed(ledger) == []
