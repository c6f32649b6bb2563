"""One call: what the backend gets, what is stored of its answer, and who hears of it."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from common.jobs.state import JobState
from common.notifier.hints import JobHint
from ingress.operations.follow import Watch
from tests.support.journal import Journal
from tests.support.logbook import lines
from tests.support.system import OpenSystem, gated
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

HUGE = 2**70 + 1  # no float has its digits
ODD = {
    "content": [{"type": "hologram", "depth": 1.5, "nothing": None}, {"type": "text", "text": "ü"}],
    "structuredContent": {"n": HUGE, "below": -HUGE, "whole": 1.0, "list": [[], {}]},
    "_meta": {"vendor/key": None, "progressToken": 7},
    "isError": False,
    "vendorTop": [1, {"deep": True}],
}


async def test_a_result_is_stored_verbatim(system_on: OpenSystem) -> None:
    """Unknown content, `_meta`, structured content, whole numbers beyond 64 bits."""
    async with system_on() as system, system.worker():
        job = await system.submit("b__say", raw=answer(json.dumps(ODD)))
        head = await system.ended(job)
        assert (head.state, head.tool_error, head.tries) == (JobState.COMPLETED, False, 1)
        assert await system.result(job) == ODD


async def test_arguments_and_meta_reach_the_backend_as_they_were(system_on: OpenSystem) -> None:
    arguments = {"n": HUGE, "text": "ü\u2028", "nothing": None}
    async with system_on() as system, system.worker():
        job = await system.submit_with("b__hear", arguments, meta={"traceparent": "00-1"})
        await system.ended(job)
        params = json.loads(heard(await system.result(job)))["params"]
        assert (params["name"], params["arguments"]) == ("hear", arguments)
        assert params["_meta"]["traceparent"] == "00-1"


async def test_a_result_of_several_megabytes(system_on: OpenSystem, tmp_path: Path) -> None:
    async with system_on() as system, system.worker():
        job = await system.submit(log=str(tmp_path / "log"), big=3_000_000)
        await system.ended(job)
        assert heard(await system.result(job)) == "x" * 3_000_000


async def test_a_protocol_error_fails_the_job_with_code_and_data(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    async with system_on() as system, system.worker():
        job = await system.submit(log=str(tmp_path / "log"), then="refuse")
        head = await system.ended(job)
        assert (head.state, head.reason) == (JobState.FAILED, "not today")
        error = {"code": -31_777, "message": "not today", "data": {"until": None, "n": HUGE}}
        assert await system.result(job) == error


async def test_an_error_of_the_tool_is_a_result(system_on: OpenSystem, tmp_path: Path) -> None:
    async with system_on() as system, system.worker():
        job = await system.submit(log=str(tmp_path / "log"), then="tool error")
        head = await system.ended(job)
        assert (head.state, head.tool_error) == (JobState.COMPLETED, True)
        assert (await system.result(job))["isError"] is True


async def test_all_calls_of_a_worker_share_one_connection(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    """Four at once, all of them at one process, which was greeted once."""
    gate = tmp_path / "gate"
    async with system_on() as system, system.worker():
        logs = [tmp_path / f"log{number}" for number in range(4)]
        jobs = [await system.submit(log=str(log), gate=str(gate)) for log in logs]
        await until(lambda: all(log.exists() for log in logs))
        gate.touch()
        for job in jobs:
            assert (await system.ended(job)).state is JobState.COMPLETED
        assert len(said.of("backend.replica_ready")) == 1


async def test_progress_and_log_lines_reach_the_watcher_and_none_follow_the_end(
    system_on: OpenSystem, tmp_path: Path
) -> None:
    async with (
        system_on() as system,
        system.worker(),
        system.held(log=str(tmp_path / "log"), steps=3) as (job, watch),
    ):
        hints = await all_of(watch)
        said = [hint.body["data"] for hint in hints if hint.kind == "log"]
        assert said == ["log 1", "log 2", "log 3"]
        values = [hint.body for hint in hints if hint.kind == "progress"]
        assert values[-1] == [3, None, "step 3"]
        assert (hints[-1].kind, hints[-1].state) == ("state", JobState.COMPLETED)
        assert hints[-1].result == orjson.dumps(await system.result(job))
        assert orjson.loads((await system.head(job)).progress) == [3, None, "step 3"]


async def test_what_a_tool_says_cannot_harm_its_job(system_on: OpenSystem) -> None:
    """A log line with a number that a fast encoder refuses."""
    params = f'{{"level":"info","data":{HUGE}}}'
    line = f'{{"jsonrpc":"2.0","method":"notifications/message","params":{params}}}'
    raw = f"{line}\n{answer('{}')}"
    async with (
        system_on(gated(concurrency=1)) as system,
        system.worker(),
        system.held("b__say", raw=raw) as (job, watch),
    ):
        assert (await system.ended(job)).state is JobState.COMPLETED
        assert [hint.body["data"] for hint in await all_of(watch) if hint.kind == "log"] == [HUGE]


async def all_of(watch: Watch) -> list[JobHint]:
    """Everything that is heard of a job, up to its end."""
    hints: list[JobHint] = []
    while not hints or hints[-1] is not watch.end:
        hint = await watch.next(10)
        assert hint is not None
        hints.append(hint)
    return hints


def answer(result: str) -> str:
    return f'{{"jsonrpc":"2.0","id":ID,"result":{result}}}'


def heard(result: Any) -> Any:
    return result["content"][0]["text"]


async def test_calls_of_one_caller_share_a_replica_while_it_has_room(
    system_on: OpenSystem, said: Journal, tmp_path: Path
) -> None:
    backend = gated(replicas=3, concurrency=2, balance="affinity")
    async with system_on(backend) as system, system.worker():
        await until(lambda: len(said.of("backend.replica_ready")) == 3, seconds=30)

        async def homes(count: int, **more: str) -> list[str]:
            """One call after the other: round them, least-busy would use every replica."""
            found = []
            for _ in range(count):
                asked = {"log": str(tmp_path / "log"), "then": "name its process"}
                job = await system.submit_with("b__work", asked, **more)
                await system.ended(job)
                found.append(heard(await system.result(job)))
            return found

        (home,) = set(await homes(6))
        spread = {(await homes(2, affinity=f"cart {number}"))[0] for number in range(12)}
        assert len(spread) == 3
        (cart,) = set(await homes(3, affinity="cart 1"))
        assert cart in spread
        # Its home is full: the others take what is over.
        gate, log = tmp_path / "gate", tmp_path / "held"
        held = [await system.submit(log=str(log), gate=str(gate)) for _ in range(2)]
        await until(lambda: len(lines(log)) == 2)
        assert home not in await homes(2)
        gate.touch()
        for job in held:
            await system.ended(job)
        assert set(await homes(2)) == {home}
