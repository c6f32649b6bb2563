"""What a call says while it runs: on the record and to its watchers, at a bounded pace."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pytest

from common.jobs.endings import complete
from common.jobs.head import Head, StoredCall
from common.notifier.base import ingress_channel
from common.notifier.hints import JobHint, decode_hint
from common.runtime import Runtime, open_runtime
from tests.support.deliveries import a_delivery
from tests.support.hearing import Heard, listening
from tests.support.ledger import RETENTION, SUBMISSION, Ledger
from tests.support.system import embedded
from tests.support.waiting import until_answered
from workers.relay import LINES, RATE, Relay
from workers.runs import Run

pytestmark = pytest.mark.anyio

WATCHER = "seer"


@dataclass
class Scene:
    """A claimed job, its relay, and what its watcher hears."""

    runtime: Runtime
    ledger: Ledger
    head: Head
    relay: Relay
    hearing: Heard

    async def heard(self) -> list[JobHint]:
        return [decode_hint(hint.payload) for hint in await self.hearing.all()]

    async def noted(self) -> list[float | str | None]:
        progress = (await self.ledger.head(self.head.id)).progress
        return list(orjson.loads(progress)) if progress else []


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with open_runtime(embedded(tmp_path).settings()) as runtime:
        ledger = Ledger(runtime.store, runtime.notifier)
        head = await ledger.claimed(replace(SUBMISSION, watcher=WATCHER))
        run = Run(head, StoredCall(arguments={}), await a_delivery())
        async with listening(runtime.notifier, ingress_channel(WATCHER)) as hearing:
            yield Scene(runtime, ledger, head, Relay(runtime, run), hearing)


async def test_the_newest_progress_goes_on_and_no_more_often_than_the_pace(scene: Scene) -> None:
    """A thousand at once: the watcher hears the last, and few of the others."""
    for step in range(1_000):
        scene.relay.progress(step, 1_000, f"step {step}")
    await scene.relay.aclose()
    heard = await scene.heard()
    assert 1 <= len(heard) <= RATE + 1
    assert {hint.kind for hint in heard} == {"progress"}
    assert heard[-1].body == [999, 1_000, "step 999"]
    assert await scene.noted() == [999, 1_000, "step 999"]


async def test_progress_goes_on_while_the_call_runs(scene: Scene) -> None:
    scene.relay.progress(1, None, None)

    async def noted() -> bool:
        return await scene.noted() == [1, None, None]

    await until_answered(noted)
    scene.relay.progress(2, None, None)
    await scene.relay.aclose()
    assert [hint.body[0] for hint in await scene.heard()] == [1, 2]


async def test_log_lines_keep_their_order_and_all_of_them_go_out(scene: Scene) -> None:
    lines = [{"level": "info", "data": f"line {number}"} for number in range(LINES)]
    for line in lines:
        scene.relay.log(line)
    await scene.relay.aclose()
    assert [hint.body for hint in await scene.heard()] == lines


async def test_a_flood_of_lines_costs_its_oldest(scene: Scene) -> None:
    for number in range(2 * LINES):
        scene.relay.log({"data": number})
    await scene.relay.aclose()
    assert [hint.body["data"] for hint in await scene.heard()] == list(range(LINES, 2 * LINES))


async def test_nothing_is_said_about_a_job_that_has_ended(scene: Scene) -> None:
    head = await scene.ledger.head(scene.head.id)
    await scene.ledger.done(head, complete(head, b"{}", RETENTION, tool_error=False))
    scene.relay.progress(1, None, None)
    scene.relay.log({"data": "too late"})
    await scene.relay.aclose()
    assert [hint.kind for hint in await scene.heard()] == ["state"]
    assert await scene.noted() == []


async def test_a_number_that_a_fast_encoder_refuses_is_said_all_the_same(scene: Scene) -> None:
    scene.relay.log({"data": 2**70})
    scene.relay.progress(2**70, None, None)
    await scene.relay.aclose()
    assert [hint.kind for hint in await scene.heard()] == ["log", "progress"]


async def test_a_silent_call_costs_nothing(scene: Scene) -> None:
    await scene.relay.aclose()
    assert await scene.heard() == []
