"""When a router is idle. Time is the test's; jobs and their store are real."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from longhaul.idle import FIRST_CLIENT, LOOK, Visitors, until_idle
from tests.support.surfaces import Surface, surface
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

AFTER = 600.0  # seconds


class MadeTime:
    """Passes when somebody sleeps, and then at once."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


class Room:
    """An application whose visitors stay until they are let out."""

    def __init__(self) -> None:
        self.let_out = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive, send
        await self.let_out.wait()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Surface]:
    async with surface(tmp_path) as found:
        yield found


@asynccontextmanager
async def visiting(visitors: Visitors, room: Room, path: str) -> AsyncIterator[None]:
    async def nothing() -> dict[str, str]:
        return {"type": "http.request"}

    async def ignore(message: object) -> None:
        del message

    scope = {"type": "http", "path": path}
    visit = asyncio.create_task(visitors(scope, nothing, ignore))
    await asyncio.sleep(0)
    yield
    room.let_out.set()
    await visit


@asynccontextmanager
async def waiting(
    visitors: Visitors, place: Surface, clock: MadeTime, after: float = AFTER
) -> AsyncIterator[list[float]]:
    """Until it is idle; the time when that was, once it was."""
    ended: list[float] = []

    async def wait() -> None:
        await until_idle(visitors, place.runtime.store, clock, after)
        ended.append(clock.time)

    task = asyncio.create_task(wait())
    try:
        yield ended
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_nobody_comes(place: Surface) -> None:
    clock = MadeTime()
    visitors = Visitors(Room(), clock)
    async with waiting(visitors, place, clock) as ended:
        await until(lambda: ended)
    assert ended == [100.0 + AFTER]


@pytest.mark.parametrize(("path", "patience"), [("/v1/tools", FIRST_CLIENT), ("/mcp", 0.5)])
async def test_it_waits_for_its_first_client_however_short_the_time_is(
    place: Surface, path: str, patience: float
) -> None:
    """Whoever had it started greets it, and comes over MCP once its own library is loaded."""
    clock, room = MadeTime(), Room()
    visitors = Visitors(room, clock)
    async with visiting(visitors, room, path):
        pass
    async with waiting(visitors, place, clock, after=0.5) as ended:
        await until(lambda: ended)
    assert ended[0] == pytest.approx(100.0 + patience)


async def test_who_is_served_keeps_it_and_the_time_begins_when_the_last_one_leaves(
    place: Surface,
) -> None:
    clock, room = MadeTime(), Room()
    visitors = Visitors(room, clock)
    async with waiting(visitors, place, clock) as ended:
        async with visiting(visitors, room, "/mcp"):
            await until(lambda: clock.time > 100 + 5 * AFTER)
            assert not ended
        left = clock.time
        await until(lambda: ended)
    assert left + AFTER - LOOK <= ended[0] <= left + AFTER + LOOK


async def test_who_only_watches_does_not(place: Surface) -> None:
    clock, room = MadeTime(), Room()
    visitors = Visitors(room, clock)
    async with waiting(visitors, place, clock) as ended, visiting(visitors, room, "/metrics"):
        await until(lambda: ended)


async def test_a_job_that_has_not_ended_keeps_it(place: Surface) -> None:
    clock = MadeTime()
    visitors = Visitors(Room(), clock)
    job = (await place.submit())["id"]
    async with waiting(visitors, place, clock) as ended:
        await until(lambda: clock.time > 100 + 5 * AFTER)
        await place.start(job)
        begun = clock.time
        await until(lambda: clock.time > begun + 5 * AFTER)
        assert not ended
        assert (await place.http.delete(f"/v1/jobs/{job}")).is_success
        await until(lambda: ended)
