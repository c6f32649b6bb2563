"""A record of a newer release: seen as far as it can be read, and changed by nobody of ours."""

import pytest

from common.jobs.change import Due, Note
from common.jobs.endings import cancel
from common.jobs.head import RECORD_FORMAT, Head
from common.jobs.state import JobState
from common.jobs.transitions import claim, park
from tests.support.ledger import RETENTION, Ledger, touch

pytestmark = pytest.mark.anyio


async def newer(ledger: Ledger) -> Head:
    head = await ledger.submitted()
    return await ledger.done(
        head, touch(fields={"format": RECORD_FORMAT + 1, "weather": "fine"}, due=Due(after=0))
    )


async def test_no_transition_changes_it(ledger: Ledger) -> None:
    head = await newer(ledger)
    await ledger.store.beat("w1", {})
    for change in (claim("w1"), park(head, 0, "busy"), cancel(head, "enough", RETENTION)):
        assert (await ledger.refused(head, change)).guard == "format"
    assert (await ledger.head(head.id)).state is JobState.QUEUED


async def test_nothing_is_noted_in_it_and_it_is_not_removed(ledger: Ledger) -> None:
    head = await newer(ledger)
    assert not await ledger.store.note(head.id, Note(watch="i1", fields={"confirmed": 1}))
    await ledger.store.note_many({head.id: {"confirmed": 1}})
    assert not await ledger.store.remove(head.id, version=head.version)
    assert await ledger.head(head.id) == head


async def test_whoever_looks_for_due_records_sees_it_and_the_others(ledger: Ledger) -> None:
    strange = await newer(ledger)
    ours = await ledger.submitted()
    ours = await ledger.done(ours, touch(due=Due(after=0)))
    assert {head.id: head.newer for head in await ledger.store.due(10)} == {
        strange.id: True,
        ours.id: False,
    }
