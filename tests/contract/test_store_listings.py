"""The store's contract: entries without their records, and many records at once."""

import pytest

from common.jobs.change import Move
from common.jobs.head import Head
from common.jobs.indexes import queue_index
from common.store.base import Place, place_of, written_place
from tests.support.ledger import Ledger, a_job_id, prioritised, touch

pytestmark = pytest.mark.anyio


async def placed(ledger: Ledger, *scores: float) -> list[Place]:
    """Jobs in the index "x", sorted as it is."""
    places = []
    for score in scores:
        head = await ledger.submitted()
        await ledger.done(head, touch(moves=(Move("x", score),)))
        places.append((score, head.id))
    return sorted(places)


async def test_places_come_in_the_order_of_the_index(ledger: Ledger) -> None:
    made = await placed(ledger, 3, 1, 2.5, 2.5)
    assert list(await ledger.store.places("x", limit=9, newest_first=False)) == made
    assert list(await ledger.store.places("x", limit=9)) == made[::-1]
    assert list(await ledger.store.places("x", limit=2)) == made[:1:-1]
    assert list(await ledger.store.places("nothing", limit=2)) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 9])
async def test_places_after_a_place_go_on_inside_one_millisecond(
    ledger: Ledger, limit: int
) -> None:
    made = await placed(ledger, 1, 2, 2, 2, 3)
    for at, place in enumerate(made):
        later = await ledger.store.places("x", limit=limit, after=place, newest_first=False)
        assert list(later) == made[at + 1 :][:limit]
        earlier = await ledger.store.places("x", limit=limit, after=place)
        assert list(earlier) == made[:at][::-1][:limit]


async def test_places_of_a_span_end_where_it_does(ledger: Ledger) -> None:
    made = await placed(ledger, 1, 2, 3, 4, 5)
    places = ledger.store.places
    assert list(await places("x", limit=9, since=2, until=4)) == made[2:0:-1]
    assert list(await places("x", limit=9, since=2, until=4, after=made[2])) == [made[1]]
    # A cursor from outside the span opens nothing.
    assert list(await places("x", limit=9, until=3, after=made[4])) == made[1::-1]
    late = await places("x", limit=9, since=4, after=made[0], newest_first=False)
    assert list(late) == made[3:]


async def test_a_place_survives_as_a_cursor() -> None:
    for place in ((1_795_243_100_923.0, "0" * 22), (91_795_243_100_923.0, "1" * 22), (7.5, "z")):
        assert place_of(written_place(place)) == place


async def test_many_scores_and_ranks_at_once(ledger: Ledger) -> None:
    first, second, third, high = [
        await ledger.submitted(prioritised(priority)) for priority in (6, 5, 4, 9)
    ]
    index, nobody = queue_index("exporter"), a_job_id()
    asked = [third.id, nobody, high.id, first.id, second.id]
    assert list(await ledger.store.ranks(index, asked)) == [3, None, 0, 1, 2]
    scores = await ledger.store.scores(index, asked)
    assert list(scores) == [await ledger.store.score(index, job) for job in asked]
    assert scores[1] is None
    assert list(await ledger.store.ranks(index, [])) == []
    assert list(await ledger.store.scores(index, [])) == []


async def test_ranks_of_one_millisecond_are_by_id(ledger: Ledger) -> None:
    made = await placed(ledger, 1, 2, 2, 2, 3)
    jobs = [job for _, job in made]
    assert list(await ledger.store.ranks("x", jobs)) == [0, 1, 2, 3, 4]
    assert list(await ledger.store.ranks("x", jobs[::-2])) == [4, 2, 0]


async def test_many_heads_and_glances_at_once(ledger: Ledger) -> None:
    heads: list[Head] = [await ledger.submitted() for _ in range(3)]
    await ledger.done(heads[1], touch(fields={"reason": "čekání"}))
    nobody = a_job_id()
    asked = [heads[2].id, nobody, heads[1].id, heads[2].id]
    found = await ledger.store.heads(asked)
    assert [head and head.id for head in found] == [heads[2].id, None, heads[1].id, heads[2].id]
    glances = await ledger.store.glances(asked, ["state", "reason", "claims"])
    shown = [None if each is None else list(each) for each in glances]
    waiting = ["queued", "", ""]
    assert shown == [waiting, None, ["queued", "čekání", ""], waiting]
    assert list(await ledger.store.heads([])) == []
    assert list(await ledger.store.glances([], ["state"])) == []
