"""What may end a run early: its clocks and an order, each in its turn."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from common.jobs.head import Head, Spec, StoredCall
from common.jobs.state import JobState
from tests.support.deliveries import a_delivery
from tests.support.waiting import PATIENCE, until
from workers.holding import Held
from workers.outcome import Stopped, TimedOut
from workers.runs import Run

pytestmark = pytest.mark.anyio

SPEC = Spec(backend="b", backend_tool="t", tool_version="v", priority=4)
HEAD = Head(
    id="j",
    version=2,
    state=JobState.RUNNING,
    tool="b__t",
    queue="b",
    caller="somebody",
    spec=SPEC,
    claims=1,
)


class Tool:
    """A call that ends when it is told to, and knows whether it was cancelled."""

    def __init__(self) -> None:
        self.answered = asyncio.Event()
        self.began = asyncio.Event()
        self.cancelled = False

    async def __call__(self) -> str:
        self.began.set()
        try:
            await self.answered.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "the answer"


async def run_of(*, deadline: int = 0, repeatable: bool = False, **clocks: Any) -> Run:
    spec = replace(SPEC, repeatable=repeatable, **clocks)
    head = replace(HEAD, spec=spec, deadline=deadline)
    return Run(head, StoredCall(arguments={}), Held(await a_delivery(), lambda: None))


async def test_a_call_without_clocks_gives_its_answer() -> None:
    tool = Tool()
    tool.answered.set()
    assert await (await run_of()).under_clocks(tool(), 0) == "the answer"


@pytest.mark.parametrize(
    ("clocks", "outcome"),
    [
        ({"idle_ms": 20}, TimedOut("idle", 0.02)),
        ({"run_ms": 20}, TimedOut("run", 0.02)),
        ({"deadline": 1_020}, TimedOut("deadline", 0.02)),
        ({"deadline": 500}, TimedOut("deadline", 0.0)),
        ({"idle_ms": 60_000, "run_ms": 20, "deadline": 99_000}, TimedOut("run", 0.02)),
        ({"idle_ms": 20, "run_ms": 60_000}, TimedOut("idle", 0.02)),
        ({"run_ms": 60_000, "deadline": 1_020}, TimedOut("deadline", 0.02)),
    ],
)
async def test_the_first_clock_that_runs_out_cancels_the_call(
    clocks: dict[str, Any], outcome: TimedOut
) -> None:
    """The store's time is 1 s: a deadline in the head is by that clock."""
    tool = Tool()
    assert await (await run_of(**clocks)).under_clocks(tool(), 1_000) == outcome
    assert tool.cancelled == tool.began.is_set()


async def test_a_sign_of_life_sets_the_idle_clock_back() -> None:
    """Ten times more often than the clock allows silence, for longer than it does."""
    run, tool = await run_of(idle_ms=200), Tool()
    loop = asyncio.get_running_loop()
    began = loop.time()
    call = asyncio.create_task(run.under_clocks(tool(), 0))

    def alive_long_enough() -> bool:
        run.sign_of_life()
        return loop.time() - began > 0.4

    await until(alive_long_enough)
    assert not call.done()
    tool.answered.set()
    assert await call == "the answer"


async def test_the_run_clock_hears_no_sign_of_life() -> None:
    run, tool = await run_of(run_ms=50), Tool()
    call = asyncio.create_task(run.under_clocks(tool(), 0))

    def ended() -> bool:
        run.sign_of_life()
        return call.done()

    await until(ended)
    assert await call == TimedOut("run", 0.05)


@pytest.mark.parametrize("orders", [1, 3])
async def test_an_order_stops_the_call_however_often_it_comes(orders: int) -> None:
    run, tool = await run_of(idle_ms=60_000), Tool()
    call = asyncio.create_task(run.under_clocks(tool(), 0))
    await tool.began.wait()
    for _ in range(orders):
        run.stop()
        await asyncio.sleep(0)
    assert await call == Stopped()
    assert tool.cancelled
    run.stop()
    run.sign_of_life()


async def test_an_order_before_the_start_is_not_forgotten() -> None:
    run, tool = await run_of(), Tool()
    run.stop()
    async with asyncio.timeout(PATIENCE):
        assert await run.under_clocks(tool(), 0) == Stopped()


async def test_what_comes_between_a_clocks_end_and_its_notice_harms_nobody() -> None:
    run, tool = await run_of(idle_ms=10), Tool()
    call = asyncio.create_task(run.under_clocks(tool(), 0))
    await tool.began.wait()
    loop = asyncio.get_running_loop()
    came: list[bool] = []

    def late() -> None:
        run.sign_of_life()
        came.append(not tool.cancelled)

    # Held up past both times, the loop calls the clock and then this, in the same round.
    loop.call_later(0.011, late)
    held_until = loop.time() + 0.02
    while loop.time() < held_until:
        continue
    assert await call == TimedOut("idle", 0.01)
    assert came == [True]


@pytest.mark.parametrize("repeatable", [True, False])
async def test_only_a_repeatable_run_ends_with_its_claim(*, repeatable: bool) -> None:
    """What may not be repeated goes on: nobody else runs it, and its late finish counts."""
    run, tool = await run_of(repeatable=repeatable), Tool()
    call = asyncio.create_task(run.under_clocks(tool(), 0))
    await tool.began.wait()
    run.claim_gone()
    if not repeatable:
        await asyncio.sleep(0)
        tool.answered.set()
    assert await call == (Stopped() if repeatable else "the answer")


async def test_a_time_out_of_the_call_itself_is_not_one_of_ours() -> None:
    async def fails() -> str:
        raise TimeoutError("inside")

    with pytest.raises(TimeoutError, match="inside"):
        await (await run_of(run_ms=60_000, idle_ms=60_000)).under_clocks(fails(), 0)


async def test_who_cancels_the_worker_is_obeyed() -> None:
    run, tool = await run_of(run_ms=60_000), Tool()
    call = asyncio.create_task(run.under_clocks(tool(), 0))
    await tool.began.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert tool.cancelled


async def test_while_somebody_is_asked_no_clock_runs_but_the_deadline() -> None:
    run, tool = await run_of(run_ms=60, idle_ms=60), Tool()
    call = asyncio.create_task(run.under_clocks(tool(), 0))
    await tool.began.wait()
    with run.pause():
        run.sign_of_life()
        await asyncio.wait([call], timeout=0.2)
        assert not call.done()
    tool.answered.set()
    assert await call == "the answer"


@pytest.mark.parametrize("clocks", [{"run_ms": 50}, {"idle_ms": 50}], ids=str)
async def test_what_was_left_of_a_clock_runs_on_after_the_answer(clocks: dict[str, Any]) -> None:
    run, tool = await run_of(**clocks), Tool()
    call = asyncio.create_task(run.under_clocks(tool(), 0))
    await tool.began.wait()
    with run.pause():
        await asyncio.wait([call], timeout=0.1)
    async with asyncio.timeout(PATIENCE):
        assert await call == TimedOut("run" if "run_ms" in clocks else "idle", 0.05)


async def test_the_deadline_ends_a_call_that_waits_for_an_answer() -> None:
    run, tool = await run_of(run_ms=60_000, deadline=1_050), Tool()
    call = asyncio.create_task(run.under_clocks(tool(), 1_000))
    await tool.began.wait()
    with run.pause():
        async with asyncio.timeout(PATIENCE):
            assert await call == TimedOut("deadline", 0.05)


async def test_a_parked_run_gives_its_delivery_back_once() -> None:
    run = await run_of()
    acked: list[str] = []
    run.delivery = Held(run.delivery, lambda: acked.append("slot"))
    await run.park()
    await run.park()
    await run.delivery.ack()
    assert (run.parked, acked) == (True, ["slot"])
