"""Results and arguments that are too large for a record: blobs beside it, and gone with it."""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from common.api_keys import Role
from common.blobs.base import blob_name, in_pieces
from common.config.model import Breaker, Retention
from common.config.urls import sqlite_path
from common.errors import TOO_LARGE
from common.forgetting import DAY, delete_strays
from common.jobs.ids import new_job_id
from common.jobs.links import result_uri
from common.jobs.state import JobState
from ingress.caller import Caller
from ingress.operations.results import body_of
from tests.support.journal import Journal
from tests.support.system import CALLER, OpenSystem, Place, System, gated, open_system
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

LIMIT = 20_000  # bytes
SIZES: dict[str, Any] = {"inline_limit": LIMIT, "preview": 2_000, "max_result": 2_000_000}
OPERATOR = Caller(name=CALLER, role=Role.ADMIN)


@pytest.fixture
def blob_url(place: Place, request: pytest.FixtureRequest) -> str:
    """A folder for what is embedded, S3 for what is not."""
    if place.broker_url == "memory:":
        return f"file://{place.data / 'blobs'}"
    url: str = request.getfixturevalue("s3")
    return url


async def whole_result(system: System, job: str) -> Any:
    body = await body_of(system.runtime, await system.head(job))
    assert body is not None
    return json.loads(b"".join([piece async for piece in body.read(0, body.size)]))


async def kept(system: System) -> set[str]:
    assert system.runtime.blobs is not None
    return {each.name async for each in system.runtime.blobs.list()}


def largest_in_store(place: Place) -> int:
    """Bytes of the largest single thing that the store keeps of this test."""
    if place.store_url.startswith("sqlite"):
        with closing(sqlite3.connect(sqlite_path(place.store_url))) as database:
            [(most,)] = database.execute("SELECT max(length(body)) FROM parts")
            return int(most)
    with redis.Redis.from_url(place.store_url) as store:
        keys: Any = store.keys(f"*{place.namespace}*")
        sizes: Any = [store.memory_usage(key, samples=0) for key in keys]
    return max(size or 0 for size in sizes)


async def test_a_large_result_is_a_blob_and_its_record_keeps_the_beginning(
    system_on: OpenSystem, place: Place, blob_url: str, said: Journal, tmp_path: Path
) -> None:
    async with system_on(blob_url=blob_url, **SIZES) as system, system.worker():
        job = await system.submit(log=str(tmp_path / "log"), big=300_000)
        head = await system.ended(job)
        assert (head.state, head.tool_error) == (JobState.COMPLETED, False)
        whole = {"content": [{"type": "text", "text": "x" * 300_000}], "isError": False}
        assert await whole_result(system, job) == whole
        lead, beginning, link = (await system.result(job))["content"]
        assert result_uri(job) in lead["text"]
        assert beginning["text"] == "x" * 2_000 + " […]"
        assert (link["type"], link["uri"]) == ("resource_link", result_uri(job))
        assert link["size"] == len(json.dumps(whole, separators=(",", ":")))
        assert largest_in_store(place) < LIMIT
        assert max(len(str(entry)) for entry in said.entries) < LIMIT


async def test_large_arguments_reach_the_tool_and_no_record(
    system_on: OpenSystem, place: Place, blob_url: str
) -> None:
    arguments = {"text": "ü" * 100_000, "n": 2**70 + 1}
    async with system_on(blob_url=blob_url, **SIZES) as system, system.worker():
        job = await system.submit_with("b__hear", arguments)
        await system.ended(job)
        heard = json.loads((await whole_result(system, job))["content"][0]["text"])
        assert heard["params"]["arguments"] == arguments
        assert len(await kept(system)) == 2
        assert largest_in_store(place) < LIMIT


async def test_blobs_are_deleted_with_their_record(
    system_on: OpenSystem, blob_url: str, tmp_path: Path
) -> None:
    short = Retention(completed=0.0)
    async with system_on(blob_url=blob_url, retention=short, **SIZES) as system, system.worker():
        text = "y" * 50_000
        job = await system.submit(log=str(tmp_path / "log"), big=50_000, label=text)

        async def gone() -> bool:
            return await system.store.get(job) is None

        await until_answered(gone, seconds=30)
        assert await kept(system) == set()


async def test_a_result_over_the_hard_limit_fails_with_the_sizes(
    system_on: OpenSystem, blob_url: str, tmp_path: Path
) -> None:
    async with system_on(blob_url=blob_url, **SIZES) as system, system.worker():
        job = await system.submit(log=str(tmp_path / "log"), big=2_000_001)
        head = await system.ended(job)
        error = await system.result(job)
        size = len('{"content":[{"type":"text","text":""}],"isError":false}') + 2_000_001
        assert (head.state, error["code"]) == (JobState.FAILED, TOO_LARGE)
        assert error["data"] == {"size": size, "limit": 2_000_000}
        assert f"{size} bytes, more than the 2000000" in head.reason
        assert await kept(system) == set()


async def test_the_same_large_call_with_its_key_is_the_same_job(
    system_on: OpenSystem, blob_url: str, tmp_path: Path
) -> None:
    arguments = {"log": str(tmp_path / "log"), "label": "z" * 50_000}
    async with system_on(blob_url=blob_url, **SIZES) as system, system.worker():
        jobs = {await system.submit_with("b__work", arguments, key="k") for _ in range(2)}
        assert len(jobs) == 1


async def test_a_dead_letter_with_large_arguments_runs_again_and_is_dropped_whole(
    system_on: OpenSystem, blob_url: str, tmp_path: Path
) -> None:
    arguments = {"log": str(tmp_path / "log"), "label": "z" * 50_000, "then": "crash"}
    async with system_on(blob_url=blob_url, **SIZES) as system:
        letters = system.ingress.dead_letters
        async with system.worker():
            letter = await system.submit_with("b__work", arguments)
            assert (await system.ended(letter)).state is JobState.LOST
        whole = await letters.whole(letter, OPERATOR)
        assert whole.call is not None
        assert whole.call.arguments == arguments
        replay = await letters.replay(letter, OPERATOR, lost=True)
        assert (await system.head(replay.job)).spec.arguments_blob
        await letters.drop(letter, OPERATOR)
        assert not any(name.startswith(letter) for name in await kept(system))
        await system.cancel(replay.job)


async def test_a_result_waits_for_its_blobs_as_for_its_store(
    embedded_place: Place, said: Journal, tmp_path: Path
) -> None:
    root = tmp_path / "blobs"
    root.write_text("in the way")
    settings = embedded_place.settings(blob_url=f"file://{root}", **SIZES)
    async with open_system(settings) as system, system.worker():
        job = await system.submit(log=str(tmp_path / "log"), big=300_000)
        await until(lambda: said.of("result.not_kept"))
        assert (await system.head(job)).state is JobState.RUNNING
        root.unlink()
        assert (await system.ended(job, seconds=30)).state is JobState.COMPLETED
        assert len((await whole_result(system, job))["content"][0]["text"]) == 300_000


async def test_arguments_that_cannot_be_read_are_no_fault_of_their_backend(
    embedded_place: Place, tmp_path: Path
) -> None:
    """Its jobs with small arguments run while the place of the large ones is away."""
    root, away = tmp_path / "blobs", tmp_path / "away"
    nervous = gated(breaker=Breaker(failures=1, cooldown=60.0))
    settings = embedded_place.settings(nervous, blob_url=f"file://{root}", **SIZES)
    async with open_system(settings) as system:
        async with system.worker():
            await system.offered("b__hear")
        large = await system.submit_with("b__hear", {"text": "x" * 100_000})
        root.rename(away)
        root.write_text("in the way")
        async with system.worker():
            head = await system.until_head(large, lambda head: head.hand_backs > 0)
            assert "its arguments cannot be read" in head.reason
            small = await system.submit(log=str(tmp_path / "log"))
            assert (await system.ended(small, seconds=5)).state is JobState.COMPLETED
            root.unlink()
            away.rename(root)
            head = await system.ended(large, seconds=30)
            assert (head.state, head.tries) == (JobState.COMPLETED, 1)


async def test_strays_go_once_they_are_a_day_old(embedded_place: Place, tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    settings = embedded_place.settings(blob_url=f"file://{root}", **SIZES)
    async with open_system(settings) as system:
        blobs = system.runtime.blobs
        assert blobs is not None
        async with system.worker():
            await system.offered("b__work")
        job = await system.submit(log="/", label="y" * 50_000)
        names = []
        for age in (DAY + 60, DAY - 60):
            nobody = new_job_id(1_795_000_000_000)
            name = blob_name(nobody, (await blobs.put(nobody, in_pieces(b"x"))).sha256)
            then = system.runtime.clock.now() - age
            os.utime(root / name, (then, then))
            names.append(name)
        half = root / "unfinished" / "0f"
        half.write_bytes(b"half")
        os.utime(half, (0, 0))
        for path in (root / job).iterdir():
            os.utime(path, (0, 0))
        assert await delete_strays(system.runtime, blobs) == 2
        left = await kept(system)
        assert names[1] in left
        assert {name.partition("/")[0] for name in left} == {job, names[1].partition("/")[0]}
