"""The store's contract: moves, the due index, counting and paging."""

from dataclasses import replace

import pytest

from common.jobs.change import Done, Due, Move, Now, Value
from common.jobs.endings import complete
from common.jobs.head import Head
from common.jobs.indexes import ALL, DUE, caller_index, queue_index, tool_state_index
from common.jobs.put_off import put_off
from common.jobs.transitions import claim, retry, submit
from common.store.base import DUE_PUSH_MS
from tests.support.ledger import (
    RETENTION,
    SUBMISSION,
    Ledger,
    a_job_id,
    all_pages,
    prioritised,
    touch,
)

pytestmark = pytest.mark.anyio

# --- moves


async def test_moves_put_into_an_index_and_take_out_of_it(ledger: Ledger) -> None:
    head = await ledger.submitted()
    answer = await ledger.store.commit(
        head.id, touch(moves=(Move("x", 7.5), Move("y", Now(100)))), version=1
    )
    assert await ledger.store.score("x", head.id) == 7.5
    assert await ledger.store.score("y", head.id) == answer.now + 100
    head = await ledger.done(
        await ledger.head(head.id), touch(moves=(Move("x", None), Move("y", 8), Move("z", None)))
    )
    assert await ledger.store.score("x", head.id) is None
    assert await ledger.store.score("y", head.id) == 8
    assert await ledger.store.count("z") == 0


async def test_the_last_move_of_an_index_counts(ledger: Ledger) -> None:
    head = await ledger.submitted()
    head = await ledger.done(
        head, touch(moves=(Move("x", None), Move("x", 1), Move("y", 1), Move("y", None)))
    )
    assert await ledger.store.score("x", head.id) == 1
    assert await ledger.store.score("y", head.id) is None


async def test_an_index_may_be_named_by_the_head_before_the_change(ledger: Ledger) -> None:
    head = await ledger.submitted()
    change = touch(
        fields={"owner": "w2", "claims": 7, "queue_deadline": 9},
        moves=(
            Move("at:{claims}:{tool}", 1, of_head=True),
            Move("by:{owner}.", 2, of_head=True),
            Move("q:{queue_deadline}", 3, of_head=True),
        ),
    )
    head = await ledger.done(head, change)
    assert await ledger.store.score("at::exporter__export", head.id) == 1
    assert await ledger.store.score("by:.", head.id) == 2
    assert await ledger.store.score("q:", head.id) == 3
    moves = Move("at:{claims}", 1, of_head=True), Move("owner:{owner}", 4, of_head=True)
    head = await ledger.done(head, touch(moves=moves))
    assert await ledger.store.score("at:7", head.id) == 1
    assert await ledger.members("owner:w2") == {head.id}


async def test_at_creation_an_index_may_be_named_by_the_new_fields(ledger: Ledger) -> None:
    plain = submit(SUBMISSION, 0)
    more = Move("of:{caller}:{state}", 1, of_head=True)
    change = touch(fields=plain.fields, moves=(*plain.moves, more))
    job_id = a_job_id()
    assert isinstance(await ledger.store.commit(job_id, change, version=0), Done)
    assert await ledger.members("of:local:queued") == {job_id}
    assert await ledger.store.count("of::") == 0


async def test_a_resolved_name_is_not_resolved_again(ledger: Ledger) -> None:
    head = await ledger.done(await ledger.submitted(), touch(fields={"reason": "{state}"}))
    moves = Move("because:{reason}", 1, of_head=True), Move("x:{tool}", 1, of_head=True)
    await ledger.done(head, touch(moves=moves))
    assert await ledger.store.count("because:queued") == 0
    assert await ledger.store.count("x:exporter__export") == 1


async def test_names_that_hold_braces_are_names(ledger: Ledger) -> None:
    """A tool is called as its server likes, a queue as the operator, a caller as it was given."""
    odd = replace(SUBMISSION, tool="b__{state}", queue="{owner}%1", caller="{tool}")
    head = await ledger.claimed(odd)
    head = await ledger.done(head, retry(head, 0, {"code": 1, "message": "no"}))
    head = await ledger.done(head, claim("w1"))
    assert await ledger.members(tool_state_index("b__{state}", head.state)) == {head.id}
    head = await ledger.done(head, complete(head, b"{}", RETENTION, tool_error=False))
    assert await ledger.members(caller_index("{tool}")) == {head.id}


# --- the due index


async def test_a_record_is_due_at_the_earliest_of_its_times(ledger: Ledger) -> None:
    head = await ledger.submitted()
    fields: dict[str, Value] = {"deadline": Now(500), "cancel_at": Now(90), "not_before": 0}
    due = Due(after=100, fields=("deadline", "cancel_at", "not_before"))
    answer = await ledger.store.commit(head.id, touch(fields=fields, due=due), version=1)
    assert await ledger.due_at(head) == answer.now + 90


@pytest.mark.parametrize("after", [40, None])
async def test_times_of_zero_are_never(ledger: Ledger, after: int | None) -> None:
    head = await ledger.done(await ledger.submitted(), touch(fields={"deadline": Now(50)}))
    due = Due(after=after, fields=("not_before", "deadline", "cancel_at"))
    await ledger.done(head, touch(due=due))
    answered = (await ledger.store.events(head.id))[-1].at
    expected = head.deadline if after is None else min(head.deadline, answered + after)
    assert await ledger.due_at(head) == expected


async def test_a_record_without_any_time_is_due_at_once(ledger: Ledger) -> None:
    head = await ledger.submitted()
    answer = await ledger.store.commit(head.id, touch(due=Due(fields=("deadline",))), version=1)
    assert isinstance(answer, Done)
    assert await ledger.due_at(head) == answer.now


async def test_due_records_come_lowest_first_and_come_back_later(ledger: Ledger) -> None:
    heads = [await due_since(ledger, after) for after in (-10_000, -30_000, -20_000)]
    later = await due_since(ledger, 60_000)
    before = await ledger.store.now()
    taken = await ledger.store.due(2)
    after = await ledger.store.now()
    assert [head.id for head in taken] == [heads[1].id, heads[2].id, heads[0].id]
    assert taken[0] == heads[1]
    for head in taken:
        assert before + DUE_PUSH_MS <= await ledger.due_at(head) <= after + DUE_PUSH_MS
    assert list(await ledger.store.due(2)) == []
    assert await ledger.due_at(later) > after + DUE_PUSH_MS


async def test_what_became_due_last_does_not_stand_behind_all_the_others(ledger: Ledger) -> None:
    heads = [await due_since(ledger, -60_000 + number) for number in range(8)]
    taken = [head.id for head in await ledger.store.due(3)]
    assert taken == [heads[at].id for at in (0, 1, 2, 7, 6, 5)]
    assert [head.id for head in await ledger.store.due(3)] == [heads[3].id, heads[4].id]


async def test_a_look_is_put_off_without_a_trace_in_the_record(ledger: Ledger) -> None:
    head = await due_since(ledger, -1)
    moved = await due_since(ledger, 70_000)
    now = await ledger.store.now()
    looks = [put_off(head, now), replace(put_off(moved, now), version=1)]
    gone = replace(looks[0], job_id=a_job_id())
    await ledger.store.put_off([*looks, gone])
    assert await ledger.due_at(head) == looks[0].at > now
    assert await ledger.head(head.id) == replace(head, checks=1)
    assert len(await ledger.store.events(head.id)) == head.version
    # Whoever moved it on said when it is due.
    assert await ledger.due_at(moved) != looks[1].at
    assert await ledger.head(moved.id) == moved
    assert await ledger.store.get(gone.job_id) is None
    assert await ledger.store.score(DUE, gone.job_id) is None


async def due_since(ledger: Ledger, after: int) -> Head:
    return await ledger.done(await ledger.submitted(), touch(due=Due(after=after)))


# --- counting


async def test_counts_and_the_oldest(ledger: Ledger) -> None:
    assert await ledger.store.count(ALL) == 0
    assert await ledger.store.oldest(ALL) is None
    heads = [await ledger.submitted() for _ in range(3)]
    assert await ledger.store.count(ALL) == 3
    assert list(await ledger.store.counts([ALL, "nothing", "state:queued"])) == [3, 0, 3]
    assert list(await ledger.store.counts([])) == []
    assert await ledger.store.oldest(ALL) == heads[0].created_at


async def test_the_rank_in_a_queue_is_by_priority_then_age(ledger: Ledger) -> None:
    low = await ledger.submitted(prioritised(2))
    first = await ledger.submitted(prioritised(4))
    await ledger.until_later_than(first.created_at)  # age counts in whole milliseconds
    second = await ledger.submitted(prioritised(4))
    high = await ledger.submitted(prioritised(9))
    index = queue_index("exporter")
    ranks = [await ledger.store.rank(index, head.id) for head in (high, first, second, low)]
    assert ranks == [0, 1, 2, 3]
    assert await ledger.store.rank(index, a_job_id()) is None
    assert await ledger.store.rank("nothing", low.id) is None
    assert await ledger.store.score("nothing", low.id) is None


# --- paging


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
async def test_pages_follow_each_other_without_a_gap(ledger: Ledger, limit: int) -> None:
    heads = [await placed(ledger, score) for score in (1, 3, 3, 3, 5)]
    ordered = sorted(heads, key=lambda head: ({0: 1, 4: 5}.get(heads.index(head), 3), head.id))
    ids = [head.id for head in ordered]
    newest = await all_pages(ledger.store, "x", limit=limit)
    assert [head.id for head in newest] == ids[::-1]
    oldest = await all_pages(ledger.store, "x", limit=limit, newest_first=False)
    assert [head.id for head in oldest] == ids


async def test_a_page_carries_heads_and_says_when_it_is_the_last(ledger: Ledger) -> None:
    assert (await ledger.store.page("x", limit=5)).cursor is None
    heads = [await placed(ledger, score) for score in (1, 2)]
    page = await ledger.store.page("x", limit=2)
    assert (list(page.heads), page.cursor) == (heads[::-1], None)


async def test_what_comes_in_front_shifts_no_page(ledger: Ledger) -> None:
    heads = [await placed(ledger, score) for score in (10, 20, 30)]
    first = await ledger.store.page("x", limit=2)
    await placed(ledger, 40)
    await placed(ledger, 20)
    second = await ledger.store.page("x", limit=2, cursor=first.cursor)
    assert list(first.heads) == [heads[2], heads[1]]
    assert heads[0] in second.heads
    assert not {head.id for head in first.heads} & {head.id for head in second.heads}


async def test_a_cursor_survives_the_removal_of_what_it_stands_on(ledger: Ledger) -> None:
    heads = [await placed(ledger, score) for score in (10, 20, 30)]
    page = await ledger.store.page("x", limit=2)
    await ledger.done(heads[1], touch(moves=(Move("x", None),)))
    rest = await ledger.store.page("x", limit=2, cursor=page.cursor)
    assert list(rest.heads) == [heads[0]]


async def test_the_due_index_is_an_index_like_any_other(ledger: Ledger) -> None:
    head = await ledger.submitted()
    assert await ledger.members(DUE) == {head.id}


async def placed(ledger: Ledger, score: float) -> Head:
    return await ledger.done(await ledger.submitted(), touch(moves=(Move("x", score),)))


async def test_a_change_that_is_about_something_else_puts_no_look_off(ledger: Ledger) -> None:
    """Found by a client that came again five times a second for a job whose worker had died."""
    head = await due_since(ledger, 5_000)
    stands = await ledger.due_at(head)
    await ledger.done(head, touch(due=Due(after=60_000, no_later=True)))
    assert await ledger.due_at(head) == stands
    head = await ledger.head(head.id)
    answer = await ledger.store.commit(
        head.id, touch(due=Due(after=1_000, no_later=True)), version=head.version
    )
    assert isinstance(answer, Done)
    assert await ledger.due_at(head) == answer.now + 1_000
