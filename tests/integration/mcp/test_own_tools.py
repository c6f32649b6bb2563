"""Longhaul's own tools: whoever was handed a job's id gets the result with any client."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client

from common.config.model import Answering
from common.jobs.change import Note
from common.jobs.output import Appended, encode_message, encode_text
from common.jobs.state import JobState
from ingress.operations.call_request import CallRequest
from tests.support.backends.legacy_http import LegacyHttp
from tests.support.routers import LegacyClient, Router, messages, modern_call, router, tool
from tests.support.tasks import TaskClient, legacy_request
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

MODES = ["auto", "legacy", "2026-07-28"]
HASTY = Answering(call_wait=0.2, heartbeat=0.1)
KEYS = {"api_keys": "ann=key-of-ann,bob=key-of-bob"}
LONG: Any = {"longhaul/wait": 15}  # the client's own word for how long it can be held
STRUCTURED = tool("wait", outputSchema={"type": "object", "required": ["never"]})


@pytest.fixture
def backend() -> LegacyHttp:
    server = LegacyHttp()
    server.tools = [STRUCTURED if each["name"] == "wait" else each for each in server.tools]
    return server


@pytest.fixture
async def longhaul(backend_url: str, tmp_path: Path) -> AsyncIterator[Router]:
    async with router(tmp_path, backend_url, answering=HASTY, slots=2) as running:
        yield running


@pytest.fixture
def client(longhaul: Router, http: httpx2.AsyncClient) -> TaskClient:
    """It has not declared tasks."""
    return TaskClient(http, longhaul.url, declared={})


def texts(result: dict[str, Any]) -> list[str]:
    return [each.get("text", "") for each in result["content"]]


@pytest.mark.parametrize("mode", MODES)
async def test_an_official_client_is_handed_off_and_gets_the_result_of_a_structured_tool(
    longhaul: Router, backend: LegacyHttp, mode: Any
) -> None:
    async with Client(longhaul.url, mode=mode) as client:
        assert "longhaul_wait" in [each.name for each in (await client.list_tools()).tools]
        handed = await client.call_tool("wait", {})
        assert handed.is_error
        text = handed.model_dump()["content"][0]["text"]
        job = (await longhaul.only_job()).id
        assert text.startswith(f"Not an error: still running as job {job}")
        assert f'longhaul_wait with {{"ids": ["{job}"]}}' in text
        again = await client.call_tool("longhaul_wait", {"ids": [job], "seconds": 0.1})
        assert "has not ended: running" in again.model_dump()["content"][0]["text"]
        backend.released.set()
        result = await client.call_tool("longhaul_wait", {"ids": [job]}, meta=LONG)
        assert result.model_dump()["content"][0]["text"] == "done"
        same = await client.call_tool("longhaul_result", {"id": job})
        assert same.model_dump()["content"] == result.model_dump()["content"]


async def test_a_result_comes_verbatim(longhaul: Router, client: TaskClient) -> None:
    job = (await longhaul.ingress.submit.accept(request("echo", {"deep": [None]}))).job
    result = await client.call("longhaul_wait", {"ids": [job]}, meta=LONG)
    assert result["content"] == [{"type": "hologram"}]
    assert result["got"]["arguments"] == {"deep": [None]}
    assert result["_meta"]["longhaul/job"]["state"] == "completed"


def request(name: str, arguments: dict[str, Any]) -> CallRequest:
    return CallRequest(tool=name, arguments=arguments, caller="local", request_id="r")


async def test_waiting_for_any_or_all_of_several(
    longhaul: Router, client: TaskClient, backend: LegacyHttp
) -> None:
    slow = (await longhaul.ingress.submit.accept(request("wait", {}))).job
    quick = (await longhaul.ingress.submit.accept(request("steps", {}))).job
    ids = {"ids": [slow, quick]}
    first = await client.call("longhaul_wait", {**ids, "until": "any"}, meta=LONG)
    assert texts(first)[:2] == [f"Job {quick} (steps) has ended:", "done"]
    assert texts(first)[2].startswith(f"Job {slow} (wait) has not ended: running")
    every = asyncio.create_task(client.call("longhaul_wait", ids, meta=LONG))
    backend.released.set()
    said = texts(await every)
    assert said.count("done") == 2
    assert not any("has not ended" in text for text in said)


async def test_a_wait_is_no_longer_than_the_client_can(
    longhaul: Router, client: TaskClient
) -> None:
    job = (await longhaul.ingress.submit.accept(request("wait", {}))).job
    clock = asyncio.get_running_loop().time
    began = clock()
    result = await client.call("longhaul_wait", {"ids": [job], "seconds": 3_600})
    assert clock() - began < 5
    assert "longhaul_wait" in texts(result)[0]


async def test_who_waits_with_a_token_hears_that_it_goes_on(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    job = (await longhaul.ingress.submit.accept(request("wait", {}))).job
    meta = {"progressToken": "p", "longhaul/wait": 1}
    call = modern_call("longhaul_wait", {"ids": [job]}, meta=meta)
    said = [each["params"] for each in messages((await http.post(longhaul.url, **call)).text)[:-1]]
    assert {each["progressToken"] for each in said} == {"p"}
    values = [each["progress"] for each in said]
    assert len(values) > 1
    assert values == sorted(set(values))


async def test_cancelling_stops_the_tool(
    longhaul: Router, client: TaskClient, backend: LegacyHttp
) -> None:
    job = (await longhaul.ingress.submit.accept(request("wait", {}))).job
    await backend.waiting.wait()
    assert texts(await client.call("longhaul_cancel", {"id": job})) == [
        f"Job {job} (wait) is cancelled."
    ]
    assert (await longhaul.only_job()).state is JobState.CANCELLED
    again = texts(await client.call("longhaul_cancel", {"id": job}))
    assert "had already ended (cancelled)" in again[0]
    result = await client.call("longhaul_result", {"id": job})
    assert result["isError"] is True
    assert texts(result) == [f"Job {job} was cancelled: cancelled by its caller"]


async def test_a_failure_is_told_as_an_error_with_its_reason(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    brief = {"wait": {"timeout": {"run": 0.2}}}
    async with router(tmp_path, backend_url, answering=HASTY, tools=brief) as longhaul:
        client = TaskClient(http, longhaul.url, declared={})
        job = (await longhaul.ingress.submit.accept(request("wait", {}))).job
        result = await client.call("longhaul_wait", {"ids": [job]}, meta=LONG)
        assert result["isError"] is True
        assert texts(result)[0].startswith(f"Job {job} failed: ")


async def test_a_caller_sees_its_own_jobs_and_no_others(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, listen=KEYS, answering=HASTY) as keyed:
        ann, bob = (
            TaskClient(http, keyed.url, {"x-api-key": f"key-of-{name}"}, declared={})
            for name in ("ann", "bob")
        )
        job = (await ann.call("wait"))["_meta"]["longhaul/job"]["id"]
        assert texts(await ann.call("longhaul_jobs"))[0].startswith(f"{job} wait running, try 1")
        assert texts(await bob.call("longhaul_jobs")) == ["You have no jobs."]
        for own, arguments in [
            ("longhaul_wait", {"ids": [job]}),
            ("longhaul_result", {"id": job}),
            ("longhaul_cancel", {"id": job}),
        ]:
            answer = await bob.call(own, arguments)
            assert (answer["isError"], texts(answer)) == (True, [f"no job {job}"])


async def test_a_long_list_has_a_cursor(
    longhaul: Router, client: TaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingress.mcp.own_calls.PAGE", 2)
    jobs = [
        (await longhaul.ingress.submit.accept(request("wait", {"n": number}))).job
        for number in range(3)
    ]
    first = texts(await client.call("longhaul_jobs"))[0]
    assert [line.split()[0] for line in first.splitlines()[:2]] == jobs[:0:-1]
    cursor = first.rpartition('{"cursor": "')[2].partition('"')[0]
    rest = texts(await client.call("longhaul_jobs", {"cursor": cursor}))[0]
    assert rest.startswith(jobs[0])
    refused = await client.call("longhaul_jobs", {"cursor": "nonsense"})
    assert refused["isError"] is True


async def test_arguments_that_do_not_fit_are_told_to_the_model(client: TaskClient) -> None:
    for own, arguments in [
        ("longhaul_wait", {}),
        ("longhaul_wait", {"ids": []}),
        ("longhaul_result", {"id": 7}),
        ("longhaul_cancel", {"id": "x", "force": True}),
    ]:
        answer = await client.call(own, arguments)
        assert answer["isError"] is True
        assert f"Invalid arguments for {own}" in texts(answer)[0]


async def test_a_legacy_client_that_waits_and_leaves_keeps_nothing_open(
    longhaul: Router, http: httpx2.AsyncClient, backend: LegacyHttp
) -> None:
    client = LegacyClient(http, longhaul.url)
    await client.initialize()
    job = (await longhaul.ingress.submit.accept(request("wait", {}))).job
    await backend.waiting.wait()
    arguments = {
        "name": "longhaul_wait",
        "arguments": {"ids": [job]},
        "_meta": {"longhaul/wait": 60},
    }
    waits = asyncio.create_task(legacy_request(client, "tools/call", **arguments))
    await until(lambda: longhaul.ingress.follower.following)
    waits.cancel()
    await asyncio.gather(waits, return_exceptions=True)
    await until(lambda: not longhaul.ingress.follower.following)
    assert (await longhaul.only_job()).state is JobState.RUNNING


async def test_what_a_tool_said_so_far_is_read_on_by_a_cursor(
    longhaul: Router, client: TaskClient
) -> None:
    """While the job runs; afterwards the same call has the result."""
    job = (await longhaul.ingress.submit.accept(request("wait", {}))).job
    head = await longhaul.until_state(JobState.RUNNING)
    store = longhaul.runtime.store
    silent = await client.call("longhaul_result", {"id": job})
    assert len(texts(silent)) == 1
    assert silent["_meta"]["longhaul/output"] == {"cursor": "0", "entries": [], "dropped": 0}
    line = encode_message("log", "half of it", "info")
    for number, entries in enumerate([(*encode_text("a,"), *encode_text("b\n"), line), (line,)]):
        said = Appended(mark=f"1.test.{number}", entries=entries)
        assert await store.note(job, Note(claim=head.claims, output=said))
        cursor = "0" if number == 0 else "3"
        told = await client.call("longhaul_result", {"id": job, "cursor": cursor})
        output = told["_meta"]["longhaul/output"]
        assert output["cursor"] == str(3 + number)
        assert f'"cursor": "{3 + number}"' in texts(told)[0]
        said_now = ["a,b\ninfo: half of it", "info: half of it"][number]
        assert texts(told)[1] == said_now
        assert [entry["number"] for entry in output["entries"]] == [[1, 2, 3], [4]][number]
    foreign = await client.call("longhaul_result", {"id": job, "cursor": "soon"})
    assert foreign["isError"]
