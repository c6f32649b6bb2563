"""The replicas of one backend: places, listings, and an end that leaves nothing behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from common.clock import SystemClock
from tests.support.backends.pools import OWNER, Heard, call, http, pooled, stdio
from tests.support.waiting import until
from workers.backends.base import ToolListing
from workers.backends.pool import BackendPool

pytestmark = pytest.mark.anyio


async def test_places_are_as_many_as_configured_and_come_back(tmp_path: Path) -> None:
    config = stdio("legacy_stdio", replicas=2, concurrency=2)
    async with pooled(config, tmp_path) as backend:
        await until(lambda: all(r.state == "ready" for r in backend.pool.status().replicas))
        places = [backend.pool.try_place() for _ in range(5)]
        assert [place is None for place in places] == [False] * 4 + [True]
        assert [r.in_flight for r in backend.pool.status().replicas] == [2, 2]
        first = places[0]
        assert first is not None
        first.release()
        first.release()  # twice is once
        assert sum(r.in_flight for r in backend.pool.status().replicas) == 3
        assert backend.pool.try_place() is not None


async def test_who_waits_first_is_served_first_and_who_left_costs_nothing(tmp_path: Path) -> None:
    async with pooled(stdio("legacy_stdio", concurrency=1), tmp_path) as backend:
        held = await backend.pool.wait_place()
        first, left, third = (asyncio.create_task(backend.pool.wait_place()) for _ in range(3))
        await asyncio.wait([first], timeout=0.01)
        left.cancel()
        held.release()
        (await first).release()
        (await third).release()
        await asyncio.wait([left])
        # Cancelled in the very moment in which it was served.
        held = await backend.pool.wait_place()
        late = asyncio.create_task(backend.pool.wait_place())
        await asyncio.wait([late], timeout=0.01)
        held.release()
        late.cancel()
        await asyncio.wait([late])
        assert backend.pool.status().replicas[0].in_flight == 0


async def test_a_block_gives_its_place_back(tmp_path: Path) -> None:
    async with pooled(stdio("legacy_stdio", concurrency=1), tmp_path) as backend:
        async with await backend.pool.wait_place() as place:
            assert backend.pool.try_place() is None
            await place.call(call("echo"), Heard())
        assert backend.pool.try_place() is not None


async def test_a_dead_replica_leaves_its_share_to_the_others(tmp_path: Path) -> None:
    config = stdio("legacy_stdio", replicas=2, concurrency=1)
    async with pooled(config, tmp_path) as backend:
        await until(lambda: all(r.state == "ready" for r in backend.pool.status().replicas))
        pids = [replica.pid for replica in backend.pool.status().replicas]
        assert pids[0] is not None
        os.kill(pids[0], signal.SIGKILL)
        await until(lambda: backend.pool.status().replicas[0].state != "ready")
        for _ in range(5):
            await backend.call("echo")
        await until(lambda: backend.pool.status().replicas[0].restarts == 1)
        assert backend.pool.status().replicas[1].pid == pids[1]


async def test_replicas_that_list_the_same_are_told_once(tmp_path: Path) -> None:
    async with pooled(stdio("legacy_stdio", replicas=3), tmp_path) as backend:
        await until(lambda: all(r.state == "ready" for r in backend.pool.status().replicas))
        await backend.listing()
        assert len(backend.listings) == 1


async def test_a_listing_that_is_not_taken_is_offered_again(tmp_path: Path) -> None:
    """The catalogue's store may be away when the backend starts."""
    taken: list[ToolListing] = []
    refusals = 0

    async def on_tools(listing: ToolListing) -> None:
        nonlocal refusals
        if refusals < 2:
            refusals += 1
            raise OSError("the store is away")
        taken.append(listing)

    pool = BackendPool(
        stdio("legacy_stdio"), SystemClock(), data=tmp_path, owner=OWNER, on_tools=on_tools
    )
    running = asyncio.create_task(pool.run())
    await until(lambda: taken)
    running.cancel()
    await asyncio.wait([running])
    assert refusals == 2


async def test_cancelled_while_it_starts_it_leaves_nothing(tmp_path: Path) -> None:
    """At any moment of a start, also before the process is the backend."""
    before = _children()  # servers that the tests share are this process's, too
    for turns in range(12):
        pool = BackendPool(
            stdio("legacy_stdio", replicas=2),
            SystemClock(),
            data=tmp_path,
            owner=OWNER,
            on_tools=_nothing,
        )
        running = asyncio.create_task(pool.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        pids = [replica.pid for replica in pool.status().replicas if replica.pid]
        running.cancel()
        await asyncio.wait([running])
        for pid in pids:
            assert not Path(f"/proc/{pid}").exists()
    assert not list((tmp_path / "replicas").glob("*/*.json"))
    assert _children() <= before


def _children() -> set[str]:
    """Where the system tells; elsewhere the pids above are all that is checked."""
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    return set(listed.read_text().split()) if sys.platform == "linux" else set()


async def test_status_says_where_a_url_is(tmp_path: Path) -> None:
    config = http("http://127.0.0.1:1/mcp", "http://user:secret@127.0.0.1:2/mcp?key=secret")
    async with pooled(config, tmp_path) as backend:
        await until(lambda: all(r.state == "backoff" for r in backend.pool.status().replicas))
        status = backend.pool.status()
    assert (status.name, status.transport) == ("fixture", "http")
    shown = [replica.url for replica in status.replicas]
    assert shown == ["http://127.0.0.1:1/mcp", "http://127.0.0.1:2/mcp"]
    assert "secret" not in repr(status)
    assert "could not connect" in (status.replicas[0].last_error or "")


async def _nothing(listing: ToolListing) -> None:
    del listing
