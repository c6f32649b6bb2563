"""The guards of a commit, on every store: what is checked in the same step as it is written."""

import pytest

from common.jobs.change import (
    Done,
    Free,
    LeaseAlive,
    Now,
    Refused,
    Room,
    TimeBefore,
    TimeReached,
    Unique,
)
from common.jobs.indexes import queue_index, queue_score
from common.jobs.transitions import claim, submit
from tests.support.ledger import SUBMISSION, Ledger, a_job_id, prioritised, touch

pytestmark = pytest.mark.anyio


async def test_a_lease_guards_a_claim(ledger: Ledger) -> None:
    head = await ledger.submitted()
    assert (await ledger.refused(head, claim("w1"))).guard == "LeaseAlive"
    await ledger.store.beat("w1", {})
    assert (await ledger.done(head, claim("w1"))).owner == "w1"


async def test_time_guards_compare_fields_with_the_stores_time(ledger: Ledger) -> None:
    head = await ledger.done(
        await ledger.submitted(),
        touch(fields={"deadline": Now(60_000), "queue_deadline": Now(-1)}),
    )
    assert (await ledger.refused(head, touch(guards=(TimeReached("deadline"),)))).guard == (
        "TimeReached"
    )
    assert (await ledger.refused(head, touch(guards=(TimeBefore("queue_deadline"),)))).guard == (
        "TimeBefore"
    )
    holding = (TimeReached("queue_deadline"), TimeBefore("deadline"))
    never = (TimeReached("not_before"), TimeBefore("not_before"))
    await ledger.done(head, touch(guards=(*holding, *never)))


async def test_a_field_that_is_now_counts_as_reached(ledger: Ledger) -> None:
    head = await ledger.done(await ledger.submitted(), touch(fields={"deadline": Now()}))
    await ledger.done(head, touch(guards=(TimeReached("deadline"),)))
    head = await ledger.head(head.id)
    assert (await ledger.refused(head, touch(guards=(TimeBefore("deadline"),)))).guard == (
        "TimeBefore"
    )


async def test_room_counts_the_entries_of_an_index(ledger: Ledger) -> None:
    index = queue_index("exporter")
    for _ in range(3):
        await ledger.submitted(guards=(Room(index, 3),))
    answer = await ledger.store.commit(
        a_job_id(), submit(SUBMISSION, 0, (Room(index, 3),)), version=0
    )
    assert isinstance(answer, Refused)
    assert (answer.guard, answer.head) == ("Room", None)


async def test_room_counts_only_at_or_above_a_score(ledger: Ledger) -> None:
    index = queue_index("exporter")
    urgent = await ledger.submitted(prioritised(9))
    await ledger.submitted(prioritised(4))
    waiting = await ledger.submitted(prioritised(2))
    lowest = queue_score(2, waiting.created_at - 60_000)
    assert (await ledger.refused(urgent, touch(guards=(Room(index, 1, lowest),)))).guard == "Room"
    await ledger.done(urgent, touch(guards=(Room(index, 2, lowest),)))
    exactly = await ledger.store.score(index, waiting.id)
    assert (await ledger.refused(waiting, touch(guards=(Room(index, 1, exactly),)))).head == waiting


async def test_room_for_nobody_refuses_at_once(ledger: Ledger) -> None:
    head = await ledger.submitted()
    assert (await ledger.refused(head, touch(guards=(Room("empty", 0),)))).guard == "Room"


async def test_a_unique_key_is_its_holders_until_the_record_is_removed(ledger: Ledger) -> None:
    mine = await ledger.submitted(guards=(Unique("local:key"),))
    taken = submit(SUBMISSION, 0, (Unique("local:key"),))
    answer = await ledger.store.commit(a_job_id(), taken, version=0)
    assert isinstance(answer, Refused)
    assert (answer.guard, answer.holder_of_key, answer.head) == ("Unique", mine.id, None)
    mine = await ledger.done(mine, touch(guards=(Unique("local:key"),)))
    assert await ledger.store.remove(mine.id, version=mine.version)
    assert isinstance(await ledger.store.commit(a_job_id(), taken, version=0), Done)


async def test_guards_are_asked_in_order_and_a_refusal_takes_no_key(ledger: Ledger) -> None:
    head = await ledger.submitted()
    change = touch(guards=(Unique("k"), LeaseAlive("nobody"), Room("empty", 0)))
    assert (await ledger.refused(head, change)).guard == "LeaseAlive"
    assert (await ledger.submitted(guards=(Unique("k"),))).version == 1


async def test_a_key_that_must_be_free_is_not_taken_by_asking(ledger: Ledger) -> None:
    mine = await ledger.submitted(guards=(Free("k"),))
    other = await ledger.submitted(guards=(Free("k"),))
    mine = await ledger.done(mine, touch(takes=("k",)))
    refusal = await ledger.refused(other, touch(guards=(Free("k"),)))
    assert (refusal.guard, refusal.holder_of_key) == ("Free", mine.id)
    await ledger.done(mine, touch(guards=(Free("k"),)))
    await ledger.done(other, touch(guards=(Free("k", besides=mine.id),)))
    new = await ledger.store.commit(a_job_id(), submit(SUBMISSION, 0, (Free("k"),)), version=0)
    assert isinstance(new, Refused)
    assert (new.guard, new.holder_of_key) == ("Free", mine.id)


async def test_a_taken_key_is_the_last_takers_whoever_is_removed(ledger: Ledger) -> None:
    first, last = await ledger.submitted(), await ledger.submitted()
    first = await ledger.done(first, touch(takes=("k",)))
    last = await ledger.done(last, touch(takes=("k",)))
    assert await ledger.store.remove(first.id, version=first.version)
    another = await ledger.submitted()
    assert (await ledger.refused(another, touch(guards=(Free("k"),)))).holder_of_key == last.id
    assert await ledger.store.remove(last.id, version=last.version)
    await ledger.done(another, touch(guards=(Free("k"),)))
