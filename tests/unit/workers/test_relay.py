"""What a call says while it runs: on the record and to its watchers, at a bounded pace."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pytest
from structlog.testing import capture_logs

from common.jobs.checkpoint import CHECKPOINT
from common.jobs.endings import complete
from common.jobs.head import Head, StoredCall
from common.jobs.output import CUT, ENTRY_CHARS, OUTPUT_ENTRIES
from common.notifier.base import ingress_channel
from common.notifier.hints import JobHint, decode_hint
from common.runtime import Runtime, open_runtime
from tests.support.deliveries import a_delivery
from tests.support.hearing import Heard, listening
from tests.support.ledger import RETENTION, SUBMISSION, Ledger
from tests.support.system import embedded
from tests.support.waiting import until, until_answered
from workers.holding import Held
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
        run = Run(head, StoredCall(arguments={}), Held(await a_delivery(), lambda: None))
        async with listening(runtime.notifier, ingress_channel(WATCHER)) as hearing:
            yield Scene(runtime, ledger, head, Relay(runtime, run), hearing)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else's connection to the store's file."""
    path = tmp_path / "longhaul.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


async def kept(scene: Scene) -> list[str]:
    read = await scene.ledger.store.output(scene.head.id, after=0, limit=10)
    return [entry.text for entry in read.entries]


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


async def test_what_the_tool_says_is_kept_in_the_order_it_came(scene: Scene) -> None:
    scene.relay.progress(1, 2, "begun")
    scene.relay.output("a,b\n")
    scene.relay.progress(2, 2, "begun")
    scene.relay.log({"level": "warning", "logger": "x", "data": {"rows": 2}})
    scene.relay.log({"level": "info", "data": ""})
    await scene.relay.aclose()
    kept = (await scene.ledger.store.output(scene.head.id, after=0, limit=10)).entries
    assert [(each.kind, each.text, each.level, each.logger) for each in kept] == [
        ("progress", "begun", "", ""),
        ("text", "a,b\n", "", ""),
        ("log", '{"rows":2}', "warning", "x"),
    ]


async def test_whatever_is_said_in_a_moment_travels_in_a_few_notes(scene: Scene) -> None:
    """Notes leave no trace of their own: the times of their entries tell them apart."""
    for number in range(500):
        scene.relay.log({"level": "info", "data": f"line {number}"})
        scene.relay.progress(number, None, f"step {number}")
    await scene.relay.aclose()
    kept = (await scene.ledger.store.output(scene.head.id, after=0, limit=2_000)).entries
    assert len(kept) == 1_000
    assert len({each.at for each in kept}) <= RATE + 1


async def test_long_text_is_several_entries_and_a_long_message_is_cut(scene: Scene) -> None:
    text = "é" * (2 * ENTRY_CHARS + 1)
    scene.relay.output(text)
    scene.relay.log({"level": "info", "data": text})
    await scene.relay.aclose()
    *pieces, line = (await scene.ledger.store.output(scene.head.id, after=0, limit=10)).entries
    assert [len(piece.text) for piece in pieces] == [ENTRY_CHARS, ENTRY_CHARS, 1]
    assert "".join(piece.text for piece in pieces) == text
    assert line.text == text[:ENTRY_CHARS] + CUT


async def test_more_than_is_kept_in_one_moment_is_counted_as_dropped(scene: Scene) -> None:
    for number in range(OUTPUT_ENTRIES + 7):
        scene.relay.output(f"{number}")
    await scene.relay.aclose()
    read = await scene.ledger.store.output(scene.head.id, after=0, limit=OUTPUT_ENTRIES)
    assert (read.entries[0].number, read.entries[0].text) == (8, "7")
    assert (len(read.entries), read.last) == (OUTPUT_ENTRIES, OUTPUT_ENTRIES + 7)


async def test_the_newest_checkpoint_is_stored_and_no_more_often_than_the_pace(
    scene: Scene,
) -> None:
    for row in range(1_000):
        scene.relay.checkpoint({"row": row})
    await scene.relay.aclose()
    assert await scene.ledger.store.part(scene.head.id, CHECKPOINT) == b'{"row":999}'
    assert scene.runtime.metrics.checkpoints.labels(kept="yes")._value.get() <= RATE + 1
    assert await scene.heard() == []


# --- the end of the call


async def test_what_was_said_during_the_last_note_is_kept_too(
    scene: Scene, other: sqlite3.Connection
) -> None:
    """The record's end follows the close, and its fence takes nothing more."""
    other.execute("BEGIN IMMEDIATE")  # the first note is on its way until the lock goes
    scene.relay.output("one")
    scene.relay.progress(1, None, None)
    await until(lambda: scene.runtime.metrics.progress_relayed._value.get() == 1)
    scene.relay.output("two")
    scene.relay.progress(2, None, None)
    closes = asyncio.create_task(scene.relay.aclose())
    other.execute("COMMIT")
    await closes
    assert await kept(scene) == ["one", "two"]
    assert [hint.body[0] for hint in await scene.heard()] == [1, 2]


async def test_what_is_left_waits_for_a_store_that_is_away_for_a_moment(
    scene: Scene, other: sqlite3.Connection
) -> None:
    other.execute("ALTER TABLE output RENAME TO elsewhere")
    with capture_logs() as logged:
        scene.relay.output("one")
        await until(lambda: logged)
        scene.relay.output("two")
        scene.relay.checkpoint(2)
        closes, failed = asyncio.create_task(scene.relay.aclose()), len(logged)
        await until(lambda: closes.done() or len(logged) >= failed + 2)
        other.execute("ALTER TABLE elsewhere RENAME TO output")
        await closes
    assert {entry["event"] for entry in logged} == {"relay.store_away"}
    assert await kept(scene) == ["one", "two"]
    assert await scene.ledger.store.part(scene.head.id, CHECKPOINT) == b"2"
