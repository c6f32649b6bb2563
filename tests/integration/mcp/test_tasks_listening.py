"""`subscriptions/listen` for tasks: a snapshot first, then every change until the end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from common.catalogue import catalogue_entry
from common.config.model import Answering
from common.jobs.change import Note, Now
from common.notifier.hints import JobHint, encode_hint
from common.wire import dump_json
from tests.support.backends.legacy_http import LegacyHttp
from tests.support.routers import Router, modern_call, router, tool
from tests.support.streams import Stream
from tests.support.tasks import DECLARED, TaskClient

pytestmark = pytest.mark.anyio

AT_ONCE = Answering(inline_wait=0.0)
OTHER = catalogue_entry(
    backend="other", started_at=1, trusted=False, listing={"tools": [tool("another")]}
)
KEYS = {"api_keys": "ann=key-of-ann,bob=key-of-bob"}
SUBSCRIPTION = {"io.modelcontextprotocol/subscriptionId": 1}


@pytest.fixture
async def longhaul(backend_url: str, tmp_path: Path) -> AsyncIterator[Router]:
    async with router(tmp_path, backend_url, answering=AT_ONCE, slots=1) as running:
        yield running


def listen(
    longhaul: Router, http: httpx2.AsyncClient, *, meta: Any = DECLARED, **wanted: Any
) -> Any:
    call = modern_call("", method="subscriptions/listen", meta=meta, notifications=wanted)
    return http.stream("POST", longhaul.url, **call)


async def test_each_change_is_told_until_the_end(
    longhaul: Router, http: httpx2.AsyncClient, backend: LegacyHttp
) -> None:
    client = TaskClient(http, longhaul.url)
    first, second = [(await client.call("wait", {"n": n}))["taskId"] for n in range(2)]
    await backend.waiting.wait()
    wanted = [first, "no-such-task", second, first]
    async with listen(longhaul, http, taskIds=wanted, toolsListChanged=True) as response:
        stream = Stream(response)
        acknowledged = (await stream.next())["params"]
        assert acknowledged["_meta"] == SUBSCRIPTION
        assert acknowledged["notifications"] == {
            "taskIds": [first, second],
            "toolsListChanged": True,
        }
        snapshot = [await stream.next() for _ in range(2)]
        assert {each["method"] for each in snapshot} == {"notifications/tasks"}
        assert {each["params"]["taskId"]: each["params"]["status"] for each in snapshot} == {
            first: "working",
            second: "working",
        }
        backend.released.set()
        told = await until_all_ended(stream, {first, second})
        for task in (first, second):
            last = told[task][-1]
            assert last.pop("_meta") == SUBSCRIPTION
            shown = await client.get(task)
            assert last == {
                key: value for key, value in shown.items() if key not in {"_meta", "resultType"}
            }
        await longhaul.runtime.store.put_catalogue(OTHER)
        assert (await stream.next())["method"] == "notifications/tools/list_changed"
        longhaul.endpoint.stop()
        assert (await stream.next())["result"]["_meta"].items() >= SUBSCRIPTION.items()


async def test_who_comes_while_streams_are_ended_hears_the_end_at_once(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    longhaul.endpoint.end_streams()
    async with listen(longhaul, http, toolsListChanged=True) as response:
        stream = Stream(response)
        assert (await stream.next())["params"]["_meta"] == SUBSCRIPTION
        assert (await stream.next())["result"]["_meta"].items() >= SUBSCRIPTION.items()


async def until_all_ended(stream: Stream, tasks: set[str]) -> dict[str, list[dict[str, Any]]]:
    told: dict[str, list[dict[str, Any]]] = {task: [] for task in tasks}
    while tasks:
        message = await stream.next()
        assert message["method"] == "notifications/tasks"
        params = message["params"]
        told[params["taskId"]].append(params)
        if params["status"] == "completed":
            tasks = tasks - {params["taskId"]}
    return told


async def test_progress_is_told_at_a_pace(longhaul: Router, http: httpx2.AsyncClient) -> None:
    client = TaskClient(http, longhaul.url)
    task = (await client.call("wait"))["taskId"]
    async with listen(longhaul, http, taskIds=[task]) as response:
        stream = Stream(response)
        await stream.next()
        await stream.next()  # the snapshot
        began = asyncio.get_running_loop().time()
        for value in range(40):
            await longhaul.runtime.store.note(task, progress(value, task))
            await asyncio.sleep(0.03)
        seen: list[str] = []
        while "39" not in "".join(seen[-1:]):
            seen.append((await stream.next())["params"]["statusMessage"])
        took = asyncio.get_running_loop().time() - began
        assert len(seen) <= took + 2


def progress(value: float, job: str) -> Note:
    body = [value, None, f"step {value}"]
    return Note(
        fields={"progress": dump_json(body).decode(), "progress_at": Now()},
        relay=(encode_hint(JobHint(kind="progress", job=job, body=body)),),
    )


async def test_who_has_not_declared_tasks_hears_of_none(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    async with listen(longhaul, http, meta={}, taskIds=["x"]) as response:
        error = httpx2.Response(200, content=await response.aread()).json()["error"]
    assert error["code"] == -32021
    async with listen(longhaul, http, meta={}, toolsListChanged=True) as response:
        first = await Stream(response).next()
    assert first["params"]["notifications"] == {"toolsListChanged": True}


async def test_somebody_elses_task_is_not_acknowledged(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=AT_ONCE, listen=KEYS) as keyed:
        ann = TaskClient(http, keyed.url, {"authorization": "Bearer key-of-ann"})
        task = (await ann.call("wait"))["taskId"]
        call = modern_call(
            "", method="subscriptions/listen", meta=DECLARED, notifications={"taskIds": [task]}
        )
        call["headers"]["x-api-key"] = "key-of-bob"
        async with http.stream("POST", keyed.url, **call) as response:
            acknowledged = await Stream(response).next()
        assert acknowledged["params"]["notifications"] == {"taskIds": []}
