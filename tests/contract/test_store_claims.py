"""A claim is for a job that waits, whatever version its token names."""

import pytest

from common.jobs.change import OneOf
from common.jobs.endings import cancel, complete
from common.jobs.transitions import claim
from tests.support.ledger import RETENTION, Ledger, touch

pytestmark = pytest.mark.anyio


async def test_what_has_ended_or_runs_is_not_claimed(ledger: Ledger) -> None:
    """Not at the version of that very state, either: a token of whatever origin runs nothing."""
    running = await ledger.claimed()
    assert (await ledger.refused(running, claim("w1"))).guard == "OneOf"
    completed = await ledger.done(running, complete(running, b"{}", RETENTION, tool_error=False))
    assert (await ledger.refused(completed, claim("w1"))).guard == "OneOf"
    queued = await ledger.submitted()
    cancelled = await ledger.done(queued, cancel(queued, "asked to", RETENTION))
    assert (await ledger.refused(cancelled, claim("w1"))).guard == "OneOf"


async def test_a_field_is_one_of_some_words(ledger: Ledger) -> None:
    head = await ledger.submitted()
    for words in ((), ("local ",), ("", "loca")):
        answer = await ledger.refused(head, touch(guards=(OneOf("caller", words),)))
        assert answer.guard == "OneOf"
    await ledger.done(head, touch(guards=(OneOf("caller", ("somebody", "local")),)))
