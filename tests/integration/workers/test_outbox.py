"""Files that a tool hands over beside its result: kept with the job, wherever blobs are."""

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from common.config.model import Backend, Retention, Retry, ToolRule
from common.errors import NOT_KEPT, TOO_LARGE, NotFoundError
from common.jobs.files import file_uri
from common.jobs.head import Head
from common.jobs.state import JobState
from ingress.operations.results import file_of
from tests.support.backends.serving import program
from tests.support.ports import free_port
from tests.support.system import BACKENDS, OpenSystem, Place, System
from tests.support.waiting import until, until_answered
from workers.outbox import SWEEP, Outboxes

pytestmark = pytest.mark.anyio

BOXED = str(BACKENDS / "boxed.py")
TEXT = "é,ü\n" * 1_000_000


def boxed(**settings: Any) -> Backend:
    return Backend(name="x", command=sys.executable, args=(BOXED, "stdio"), **settings)


@pytest.fixture
def blob_url(place: Place, request: pytest.FixtureRequest) -> str:
    """A folder for what is embedded, S3 for what is not."""
    if place.broker_url == "memory:":
        return f"file://{place.data / 'blobs'}"
    url: str = request.getfixturevalue("s3")
    return url


async def called(system: System, tool: str, **arguments: Any) -> Head:
    await until(lambda: f"x__{tool}" in system.ingress.feed.current.tools, seconds=30)
    job = await system.submit_with(f"x__{tool}", arguments)
    return await system.ended(job, seconds=30)


async def content_of(system: System, head: Head, name: str) -> bytes:
    _, body = await file_of(system.runtime, head, name)
    return b"".join([piece async for piece in body.read(0, body.size)])


def boxes(place: Place) -> list[str]:
    folder = place.data / "outbox"
    return [each.name for each in folder.iterdir()] if folder.exists() else []


async def test_what_a_tool_hands_over_is_whole_and_the_links_lead_there(
    system_on: OpenSystem, place: Place, blob_url: str
) -> None:
    async with system_on(boxed(), blob_url=blob_url) as system, system.worker():
        files = {"rows of a day.csv": TEXT, "empty": ""}
        head = await called(system, "hand_over", files=files, links=["https://example.org/more"])
        result = await system.result(head.id)
        assert (head.state, head.files) == (JobState.COMPLETED, 2), result
        _, first, second, other = result["content"]
        assert first["uri"] == f"longhaul://job/{head.id}/files/rows%20of%20a%20day.csv"
        assert (first["size"], first["mimeType"]) == (len(TEXT.encode()), "text/csv")
        digest = hashlib.sha256(TEXT.encode()).hexdigest()
        assert first["_meta"]["longhaul/file"]["sha256"] == digest
        assert other["uri"] == "https://example.org/more"
        uris = [first["uri"], second["uri"], other["uri"]]
        assert result["structuredContent"]["uris"] == uris
        assert await content_of(system, head, "rows of a day.csv") == TEXT.encode()
        assert await content_of(system, head, "empty") == b""
        with pytest.raises(NotFoundError):
            await file_of(system.runtime, head, "another")
        await until(lambda: boxes(place) == [])


async def test_files_are_deleted_with_their_record(system_on: OpenSystem, blob_url: str) -> None:
    short = Retention(completed=0.0)
    async with system_on(boxed(), blob_url=blob_url, retention=short) as system, system.worker():
        await until(lambda: "x__hand_over" in system.ingress.feed.current.tools, seconds=30)
        job = await system.submit_with("x__hand_over", {"files": {"a": "b"}})

        async def gone() -> bool:
            return await system.store.get(job) is None

        await until_answered(gone, seconds=30)
        assert system.runtime.blobs is not None
        assert [each async for each in system.runtime.blobs.list()] == []
        assert await system.store.part(job, "files") is None


async def test_the_next_try_finds_what_the_one_before_left(
    system_on: OpenSystem, place: Place, blob_url: str
) -> None:
    rules = {"x__leave_and_die": ToolRule(repeatable=True, retry=Retry(first=0.0))}
    async with system_on(boxed(), blob_url=blob_url, tools=rules) as system, system.worker():
        head = await called(system, "leave_and_die", text="half")
        assert (head.state, head.tries) == (JobState.COMPLETED, 2)
        assert await content_of(system, head, "half") == b"halfhalf"
        await until(lambda: boxes(place) == [])


async def test_only_plain_files_that_stand_in_the_folder_are_taken(
    system_on: OpenSystem, place: Place, blob_url: str, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    async with system_on(boxed(), blob_url=blob_url) as system, system.worker():
        for kind in ("symbolic link", "folder", "pipe", "nothing"):
            head = await called(system, "trick", kind=kind, there=str(secret))
            error = await system.result(head.id)
            assert (head.state, error["code"]) == (JobState.FAILED, NOT_KEPT), kind
            assert "is no" in error["message"]
        for link in ("BOX/../other/it", "BOX/below/it", "BOX/..", "BOX/%2e%2e/it"):
            head = await called(system, "hand_over", files={}, links=[link])
            assert head.state is JobState.FAILED, link
            assert "does not stand in the outbox" in head.reason
        assert system.runtime.blobs is not None
        assert [each async for each in system.runtime.blobs.list()] == []
        await until(lambda: boxes(place) == [])


async def test_a_link_to_elsewhere_on_the_machine_stays_as_it_is(
    system_on: OpenSystem, blob_url: str
) -> None:
    async with system_on(boxed(), blob_url=blob_url) as system, system.worker():
        head = await called(system, "hand_over", files={}, links=["file:///etc/hostname"])
        result = await system.result(head.id)
        assert (result["content"][1]["uri"], head.files) == ("file:///etc/hostname", 0)


async def test_a_file_over_the_hard_limit_fails_with_the_sizes(
    system_on: OpenSystem, blob_url: str
) -> None:
    async with system_on(boxed(), blob_url=blob_url, max_file=4_000) as system, system.worker():
        head = await called(system, "hand_over", files={"a": "b" * 4_000, "c": "d" * 4_001})
        error = await system.result(head.id)
        assert (head.state, error["code"]) == (JobState.FAILED, TOO_LARGE)
        assert error["data"] == {"size": 4_001, "limit": 4_000}


async def test_a_server_on_this_machine_has_one_too(system_on: OpenSystem, blob_url: str) -> None:
    port = free_port()
    backend = Backend(name="x", transport="http", urls=(f"http://127.0.0.1:{port}/mcp",))
    with program("boxed", port):
        async with system_on(backend, blob_url=blob_url) as system, system.worker():
            head = await called(system, "hand_over", files={"a": "b"})
            assert await content_of(system, head, "a") == b"b"


async def test_without_a_place_for_blobs_a_tool_has_no_outbox(system_on: OpenSystem) -> None:
    async with system_on(boxed()) as system, system.worker():
        head = await called(system, "hand_over", files={"a": "b"})
        assert (await system.result(head.id))["content"][0]["text"] == "no outbox"


async def test_a_tool_that_does_not_ask_is_told_of_none(
    system_on: OpenSystem, blob_url: str
) -> None:
    async with system_on(boxed(), blob_url=blob_url) as system, system.worker():
        head = await called(system, "told")
        told = (await system.result(head.id))["structuredContent"]["result"]
        assert [key for key in told if key.startswith("longhaul/")] == []


async def test_what_a_dead_worker_left_is_swept_once_its_job_has_ended(
    system_on: OpenSystem, place: Place, blob_url: str
) -> None:
    async with system_on(boxed(), blob_url=blob_url) as system:
        async with system.worker():
            ended = await called(system, "hand_over", files={})
            await until(lambda: boxes(place) == [])
        lives = await system.submit_with("x__hand_over", {"files": {}})
        root = place.data / "outbox"
        old = system.runtime.clock.now() - SWEEP - 1
        for name in (ended.id, lives, "not-a-job"):
            (root / name).mkdir(parents=True)
            os.utime(root / name, (old, old))
        await Outboxes(system.runtime).sweep()
        assert sorted(boxes(place)) == sorted([lives, "not-a-job"])
        assert file_uri(lives, "a/b") == f"longhaul://job/{lives}/files/a%2Fb"
