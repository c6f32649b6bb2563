"""The store's contract: leases, silence and the grace, with leases short enough to watch."""

from collections.abc import Awaitable, Callable

import anyio
import pytest

from common.jobs.change import LeaseAlive, LeaseGone
from common.jobs.endings import cancel, lose
from common.jobs.state import JobState
from common.jobs.transitions import rescue
from common.store.base import Lease, Timings
from tests.support.ledger import RETENTION, Ledger, touch

pytestmark = pytest.mark.anyio


@pytest.fixture
def timings() -> Timings:
    """The proportions of the real ones: a silence is shorter than a lease, a grace is longer."""
    return Timings(lease_ms=150, silence_ms=90, grace_ms=220)


async def gone(ledger: Ledger, lease: str) -> bool:
    (answer,) = await ledger.store.gone([lease])
    return answer


async def lease_of(ledger: Ledger, lease_id: str) -> Lease | None:
    return {lease.id: lease for lease in await ledger.store.leases()}.get(lease_id)


async def keeping(
    ledger: Ledger, keeper: str, fact: Callable[[], Awaitable[bool]], seconds: float = 3.0
) -> int:
    """Beat for `keeper`, so that nobody takes this for silence, until `fact`; its time, ms."""
    with anyio.fail_after(seconds):
        while True:
            await ledger.store.beat(keeper, {})
            if await fact():
                return await ledger.store.now()
            await anyio.sleep(0.01)


@pytest.mark.parametrize("timings", [Timings()], ids=["real"])  # nothing lapses on a busy machine
async def test_a_lease_lives_from_beat_to_beat(ledger: Ledger) -> None:
    await ledger.store.beat("a", {"role": "worker"})
    begin = (await ledger.store.leases())[0]
    assert (begin.id, begin.alive, begin.info) == ("a", True, {"role": "worker"})
    assert not await gone(ledger, "a")
    await ledger.store.beat("a", {"role": "worker", "slots": 2})
    again = (await ledger.store.leases())[0]
    assert again.beat_at >= begin.beat_at
    assert again.info == {"role": "worker", "slots": 2}


async def test_a_lease_that_stops_beating_lapses_while_others_beat(ledger: Ledger) -> None:
    await ledger.store.beat("a", {})
    lapsed = await keeping(ledger, "b", lambda: gone(ledger, "a"))
    a, b = await lease_of(ledger, "a"), await lease_of(ledger, "b")
    assert a is not None
    assert b is not None
    assert (a.alive, b.alive) == (False, True)
    assert lapsed - a.beat_at >= 150
    assert list(await ledger.store.gone(["b", "a", "nobody", ""])) == [False, True, True, False]


async def test_a_late_beat_makes_a_lapsed_lease_alive_again(ledger: Ledger) -> None:
    await ledger.store.beat("a", {})
    await keeping(ledger, "b", lambda: gone(ledger, "a"))
    await ledger.store.beat("a", {})
    assert not await gone(ledger, "a")


async def test_an_unknown_lease_is_gone_and_an_empty_name_never_is(ledger: Ledger) -> None:
    assert await gone(ledger, "nobody")
    assert not await gone(ledger, "")
    assert list(await ledger.store.gone([])) == []


async def test_a_released_lease_is_gone_at_once_and_may_begin_again(ledger: Ledger) -> None:
    await ledger.store.beat("a", {})
    await ledger.store.release("a")
    assert await gone(ledger, "a")
    assert list(await ledger.store.leases()) == []
    await ledger.store.beat("a", {})
    assert not await gone(ledger, "a")


async def test_release_makes_the_jobs_it_owns_due_now(ledger: Ledger) -> None:
    mine = await ledger.claimed(worker="w1")
    other = await ledger.claimed(worker="w2")
    stopping = await ledger.done(await ledger.claimed(), cancel(mine, "enough", RETENTION))
    before = await ledger.due_at(other)
    await ledger.store.release("w1")
    now = await ledger.store.now()
    assert await ledger.due_at(mine) <= now
    assert await ledger.due_at(stopping) <= now
    assert await ledger.due_at(other) == before


# --- silence


async def test_whoever_judges_in_a_silence_opens_a_grace(ledger: Ledger) -> None:
    await ledger.store.beat("a", {})
    await anyio.sleep(0.2)  # time itself is what is tested: nobody beats, and the lease lapses
    assert not await gone(ledger, "a")
    noticed = await ledger.store.now()
    over = await keeping(ledger, "b", lambda: gone(ledger, "a"))
    assert over - noticed >= 220 - 20


async def test_whoever_beats_after_a_silence_opens_a_grace(ledger: Ledger) -> None:
    await ledger.store.beat("a", {})
    await anyio.sleep(0.2)  # as above
    begin = await ledger.store.now()
    await ledger.store.beat("b", {})
    assert not await gone(ledger, "a")
    over = await keeping(ledger, "b", lambda: gone(ledger, "a"))
    assert over - begin >= 220


async def test_a_released_lease_is_gone_in_a_grace_too(ledger: Ledger) -> None:
    await ledger.store.beat("a", {})
    await anyio.sleep(0.2)  # as above
    await ledger.store.beat("b", {})
    await ledger.store.release("a")
    assert await gone(ledger, "a")
    assert await gone(ledger, "nobody")


# --- as guards


async def test_lease_guards_agree_with_the_judgement(ledger: Ledger) -> None:
    head = await ledger.submitted()
    alive, lapsed = touch(guards=(LeaseAlive("a"),)), touch(guards=(LeaseGone("a"),))
    assert (await ledger.refused(head, alive)).guard == "LeaseAlive"
    head = await ledger.done(head, lapsed)
    await ledger.store.beat("a", {})
    head = await ledger.done(head, alive)
    assert (await ledger.refused(head, lapsed)).guard == "LeaseGone"
    await keeping(ledger, "b", lambda: gone(ledger, "a"))
    assert (await ledger.refused(head, alive)).guard == "LeaseAlive"
    await ledger.done(head, lapsed)
    head = await ledger.head(head.id)
    assert (await ledger.refused(head, touch(guards=(LeaseGone(""),)))).guard == "LeaseGone"


async def test_a_guard_that_notices_silence_opens_the_grace_though_refused(ledger: Ledger) -> None:
    head = await ledger.submitted()
    await ledger.store.beat("a", {})
    await anyio.sleep(0.2)  # as above
    noticed = await ledger.store.now()
    assert (await ledger.refused(head, touch(guards=(LeaseGone("a"),)))).guard == "LeaseGone"
    over = await keeping(ledger, "b", lambda: gone(ledger, "a"))
    assert over - noticed >= 220


@pytest.mark.parametrize("ends", [JobState.QUEUED, JobState.LOST])
async def test_a_job_is_taken_from_its_owner_only_when_the_lease_is_gone(
    ledger: Ledger, ends: JobState
) -> None:
    head = await ledger.claimed(worker="w1")
    change = (
        rescue(head)
        if ends is JobState.QUEUED
        else lose(head, "it died", RETENTION, seen_gone=True)
    )
    assert (await ledger.refused(head, change)).guard == "LeaseGone"
    await keeping(ledger, "b", lambda: gone(ledger, "w1"))
    after = await ledger.done(head, change)
    assert (after.state, after.owner) == (ends, "")
