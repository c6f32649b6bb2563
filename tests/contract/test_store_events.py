"""The events of a record: one for each commit, numbered without a gap, the newest kept."""

import pytest

from common.jobs.change import Note, Room
from common.store.base import EVENTS_KEPT
from tests.support.ledger import Ledger, touch

pytestmark = pytest.mark.anyio


async def test_every_commit_leaves_an_event(ledger: Ledger) -> None:
    head = await ledger.submitted()
    facts = {"worker": "w1", "list": [1, None, {"a": "ü"}], "text": "]\n", "huge": 2**70}
    answer = await ledger.store.commit(head.id, touch("looked_at", facts=facts), version=1)
    events = await ledger.store.events(head.id)
    assert [event.name for event in events] == ["submitted", "looked_at"]
    assert (events[1].facts, events[1].at) == (facts, answer.now)


async def test_a_refused_commit_leaves_no_event(ledger: Ledger) -> None:
    head = await ledger.submitted()
    await ledger.refused(head, touch(guards=(Room("empty", 0),)))
    assert len(await ledger.store.events(head.id)) == 1


async def test_an_event_has_the_version_that_it_made(ledger: Ledger) -> None:
    """So who knows the head knows whether there are events that it has not seen."""
    head = await ledger.submitted()
    await ledger.store.note(head.id, Note(fields={"confirmed": 1}))
    await ledger.refused(head, touch(guards=(Room("empty", 0),)))
    await ledger.store.commit(head.id, touch("once"), version=1, commit_id="c")
    await ledger.store.commit(head.id, touch("once"), version=1, commit_id="c")
    head = await ledger.done(await ledger.head(head.id), touch("twice"))
    events = await ledger.store.events(head.id)
    numbered = [(event.number, event.name) for event in events]
    assert numbered == [(1, "submitted"), (2, "once"), (3, "twice")]
    assert head.version == 3


async def test_events_are_read_on_from_a_number(ledger: Ledger) -> None:
    head = await ledger.submitted()
    for _ in range(3):
        head = await ledger.done(head, touch())
    for after, expected in ((0, [1, 2, 3, 4]), (2, [3, 4]), (4, []), (9, [])):
        events = await ledger.store.events(head.id, after=after)
        assert [event.number for event in events] == expected


async def test_the_newest_events_are_kept_with_their_numbers(ledger: Ledger) -> None:
    head = await ledger.submitted()
    for version in range(1, EVENTS_KEPT + 3):
        await ledger.store.commit(head.id, touch(f"e{version}"), version=version)
    events = await ledger.store.events(head.id)
    assert len(events) == EVENTS_KEPT
    assert (events[0].number, events[0].name) == (4, "e3")
    assert (events[-1].number, events[-1].name) == (EVENTS_KEPT + 3, f"e{EVENTS_KEPT + 2}")
    assert [event.number for event in await ledger.store.events(head.id, after=258)] == [259]
