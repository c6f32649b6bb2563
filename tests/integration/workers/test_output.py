"""What running tools say stands in their jobs' output, over a worker's death too."""

from pathlib import Path

import pytest

from common.config.model import Settings, ToolRule
from common.errors import TOO_LARGE
from common.jobs.output import OutputEntry
from common.jobs.state import JobState
from tests.support.logbook import lines
from tests.support.system import OpenSystem, Place, System, open_system
from tests.support.waiting import until, until_answered
from tests.support.worker_process import worker_process

pytestmark = pytest.mark.anyio


async def output(system: System, job: str) -> list[OutputEntry]:
    return list((await system.store.output(job, after=0, limit=10_000)).entries)


def shown(entries: list[OutputEntry]) -> list[tuple[int, str, str]]:
    return [(entry.tried, entry.kind, entry.text) for entry in entries]


def one_try(tried: int, steps: int, word: str) -> list[tuple[int, str, str]]:
    return [
        said
        for step in range(1, steps + 1)
        for said in (
            (tried, "text", f"{word} {step}\n"),
            (tried, "progress", f"step {step}"),
            (tried, "log", f"log {step}"),
        )
    ]


async def test_everything_a_call_says_is_kept_in_its_order(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    async with system_on() as system, system.worker():
        await until(lambda: "b__work" in system.ingress.feed.current.tools, seconds=30)
        job = await system.submit("b__work", log=str(tmp_path / "log"), steps=20, says="row")
        assert (await system.ended(job)).state is JobState.COMPLETED
        entries = await output(system, job)
        assert shown(entries) == one_try(1, 20, "row")
        assert [entry.number for entry in entries] == list(range(1, 61))
        assert {entry.level for entry in entries if entry.kind == "log"} == {"info"}


async def test_two_calls_at_once_have_each_its_own_words(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    """A log line that may be either's is nobody's."""
    gate, logs = tmp_path / "gate", [tmp_path / "one", tmp_path / "two"]
    async with system_on() as system, system.worker():
        await until(lambda: "b__work" in system.ingress.feed.current.tools, seconds=30)
        first = await system.submit("b__work", log=str(logs[0]), gate=str(gate))
        await until(lambda: lines(logs[0]))
        second = await system.submit("b__work", log=str(logs[1]), steps=3, says="mine")
        assert (await system.ended(second)).state is JobState.COMPLETED
        gate.touch()
        await system.ended(first)
        assert await output(system, first) == []
        said = one_try(1, 3, "mine")
        assert shown(await output(system, second)) == [each for each in said if each[1] != "log"]


async def test_a_tool_that_never_stops_talking_is_ended_with_the_sizes(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with system_on(max_output=20_000) as system, system.worker():
        await until(lambda: "b__work" in system.ingress.feed.current.tools, seconds=30)
        few = await system.submit("b__work", log=str(log), steps=20, says="x" * 800)
        assert (await system.ended(few)).state is JobState.COMPLETED
        many = await system.submit(
            "b__work", log=str(log), steps=30, says="x" * 800, gate=str(gate)
        )
        head = await system.ended(many)
        error = await system.result(many)
        assert (head.state, error["code"]) == (JobState.FAILED, TOO_LARGE)
        assert error["data"]["limit"] == 20_000 < error["data"]["size"] < 22_000
        assert f"has {error['data']['size']} bytes, more than the 20000" in head.reason
        await until(lambda: any("cancelled" in line for line in lines(log)))


@pytest.fixture
def settings(distributed_place: Place) -> Settings:
    return distributed_place.settings(tools={"b__safe": ToolRule(repeatable=True)})


async def test_the_next_try_appends_after_a_worker_was_killed(
    settings: Settings, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    async with open_system(settings) as system:
        with worker_process(settings, tmp_path / "worker") as process:
            await until(lambda: "b__safe" in system.ingress.feed.current.tools, seconds=30)
            job = await system.submit("b__safe", log=str(log), gate=str(gate), steps=4, says="row")

            async def said() -> bool:
                return len(await output(system, job)) == 12

            await until_answered(said, seconds=60)
            process.kill()
            process.kill_all()
        async with system.worker():
            await system.until_head(job, lambda head: head.claims == 2, seconds=30)
            gate.touch()
            assert (await system.ended(job)).state is JobState.COMPLETED
        entries = await output(system, job)
    assert shown(entries) == one_try(1, 4, "row") + one_try(2, 4, "row")
    assert [entry.number for entry in entries] == list(range(1, 25))
