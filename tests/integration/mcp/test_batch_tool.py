"""`longhaul_batch`: an agent calls a tool many times at once, and goes on by the batch's id."""

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from common.blobs.base import in_pieces
from common.config.model import Answering
from ingress.caller import Caller
from ingress.mcp.batch_reports import LONGEST
from ingress.operations.documents import Said
from tests.support.backends.legacy_http import LegacyHttp
from tests.support.receiver import CALLBACKS
from tests.support.routers import Router, offer, router
from tests.support.tasks import TaskClient
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

HASTY = Answering(call_wait=0.2, heartbeat=0.1)
LONG: Any = {"longhaul/wait": 15}  # the client's own word for how long it can be held
KEYS = {"api_keys": "ann=key-of-ann,bob=key-of-bob"}
COUNT: dict[str, Any] = {
    "name": "big",
    "inputSchema": {
        "type": "object",
        "properties": {"size": {"type": "integer"}, "of": {"type": "string"}},
        "required": ["size"],
    },
}


@pytest.fixture
def backend() -> LegacyHttp:
    server = LegacyHttp()
    server.tools = [COUNT if each["name"] == "big" else each for each in server.tools]
    return server


@pytest.fixture
async def longhaul(backend_url: str, tmp_path: Path) -> AsyncIterator[Router]:
    where: dict[str, Any] = {"blob_url": f"file://{tmp_path}/blobs", "listen": KEYS}
    where["callbacks"] = dict(CALLBACKS)
    async with router(tmp_path, backend_url, answering=HASTY, **where) as running:
        yield running


@pytest.fixture
def ann(longhaul: Router, http: httpx2.AsyncClient) -> TaskClient:
    return TaskClient(http, longhaul.url, {"x-api-key": "key-of-ann"}, declared={})


@pytest.fixture
def bob(longhaul: Router, http: httpx2.AsyncClient) -> TaskClient:
    return TaskClient(http, longhaul.url, {"x-api-key": "key-of-bob"}, declared={})


def texts(result: dict[str, Any]) -> list[str]:
    return [each.get("text", "") for each in result["content"]]


def facts(result: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = result["_meta"]["longhaul/batch"]
    return found


def said_by(row: dict[str, Any]) -> str:
    return str(row["result"]["content"][0]["text"])


async def test_rows_given_inline_are_run_waited_for_and_read(ann: TaskClient) -> None:
    rows = [{"size": n, "of": "x"} for n in range(1, 31)]
    begun = await ann.call("longhaul_batch", {"tool": "big", "rows": rows})
    batch = facts(begun)["id"]
    assert not begun.get("isError")
    assert texts(begun)[0].startswith(f"Batch {batch} (big) ")
    assert f'longhaul_wait with {{"ids": ["{batch}"]}}' in texts(begun)[0]
    waited = await ann.call("longhaul_wait", {"ids": [batch]}, meta=LONG)
    assert texts(waited)[0].startswith(
        f"Batch {batch} (big) has ended, completed: 30 of 30 rows (30 completed)."
    )
    first = await ann.call("longhaul_result", {"id": batch})
    lines = [json.loads(line) for line in texts(first)[1].splitlines()]
    assert [said_by(each) for each in lines] == ["x" * n for n in range(1, 21)]
    assert facts(first)["cursor"] == "20"
    assert '"cursor": "20"' in texts(first)[0]
    rest = await ann.call("longhaul_result", {"id": batch, "cursor": "20"})
    lines = [json.loads(line) for line in texts(rest)[1].splitlines()]
    assert [each["row"] for each in lines] == list(range(21, 31))
    assert '"cursor"' not in texts(rest)[0]
    one = await ann.call("longhaul_result", {"id": f"{batch}.7"})
    assert texts(one) == ["x" * 7]


async def test_rows_of_a_document_with_broken_ones_named_by_line(
    ann: TaskClient, bob: TaskClient, longhaul: Router
) -> None:
    text = b'{"size": 1}\nbroken\n{"size": "many"}\n{"size": 4}\n'
    said = Said(name="rows.jsonl", media_type="application/x-ndjson")
    kept = await longhaul.ingress.documents.put(in_pieces(text), said, Caller(name="ann"))
    sha256 = kept.document.sha256
    foreign = await bob.call("longhaul_batch", {"tool": "big", "blob": sha256})
    assert foreign["isError"]
    batch = facts(await ann.call("longhaul_batch", {"tool": "big", "blob": sha256}))["id"]
    waited = texts(await ann.call("longhaul_wait", {"ids": [batch]}, meta=LONG))[0]
    assert "4 of 4 rows (2 completed, 2 refused)" in waited
    for words in ("line 2", "(rows 2)", "line 3", "(rows 3)"):
        assert words in waited


async def test_a_batch_that_runs_is_told_and_cancelled(
    ann: TaskClient, bob: TaskClient, backend: LegacyHttp
) -> None:
    rows = [{"n": n} for n in range(12)]
    begun = await ann.call("longhaul_batch", {"tool": "wait", "rows": rows, "in_flight": 3})
    batch = facts(begun)["id"]
    await backend.waiting.wait()
    waited = texts(await ann.call("longhaul_wait", {"ids": [batch], "seconds": 0.1}))[0]
    assert "is running: 0 of 12 rows have ended" in waited
    assert "to go on waiting" in waited
    so_far = await ann.call("longhaul_result", {"id": batch})
    assert len(texts(so_far)) == 1
    assert facts(so_far)["counts"]["waiting"] == 12
    for own, arguments in [
        ("longhaul_wait", {"ids": [batch]}),
        ("longhaul_result", {"id": batch}),
        ("longhaul_cancel", {"id": batch}),
    ]:
        answer = await bob.call(own, arguments)
        assert (answer["isError"], texts(answer)) == (True, [f"no job {batch}"])
    cancelled = await ann.call("longhaul_cancel", {"id": batch})
    assert texts(cancelled) == [f"Batch {batch} (wait) is cancelled."]
    again = await ann.call("longhaul_cancel", {"id": batch})
    assert "had already ended (cancelled)" in texts(again)[0]
    ended = texts(await ann.call("longhaul_wait", {"ids": [batch]}, meta=LONG))[0]
    assert "has ended, cancelled: 3 of 12 rows (3 cancelled)" in ended


async def test_a_batch_is_no_task(ann: TaskClient, longhaul: Router, backend: LegacyHttp) -> None:
    batch = facts(await ann.call("longhaul_batch", {"tool": "wait", "rows": [{"n": 1}]}))["id"]
    await backend.waiting.wait()
    tasks = TaskClient(ann.http, longhaul.url, ann.headers)
    for method in ("tasks/get", "tasks/cancel"):
        answer = await tasks.request(method, taskId=batch)
        assert answer["error"]["message"] == "Task not found"
    assert facts(await ann.call("longhaul_result", {"id": batch}))["state"] == "running"
    await ann.call("longhaul_cancel", {"id": batch})


async def test_why_no_row_of_it_begins_is_told(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=HASTY, slots=0) as longhaul:
        await offer(longhaul, COUNT)
        ann = TaskClient(http, longhaul.url, declared={})
        batch = facts(await ann.call("longhaul_batch", {"tool": "big", "rows": [{"size": 1}]}))

        async def waits(own: str, **asked: Any) -> bool:
            said = texts(await ann.call(own, asked))[0]
            return "No row can begin now: no worker carries queue fixture." in said

        await until_answered(partial(waits, "longhaul_result", id=batch["id"]))
        assert await waits("longhaul_wait", ids=[batch["id"]], seconds=0.1)


async def test_jobs_and_batches_are_waited_for_together(ann: TaskClient) -> None:
    one = facts(await ann.call("longhaul_batch", {"tool": "big", "rows": [{"size": 1}]}))["id"]
    two = facts(await ann.call("longhaul_batch", {"tool": "big", "rows": [{"size": 2}]}))["id"]
    job = f"{one}.1"
    both = texts(await ann.call("longhaul_wait", {"ids": [one, job, two]}, meta=LONG))
    assert both[:2] == [f"Job {job} (big) has ended:", "x"]
    assert [text.split()[:2] for text in both[2:]] == [["Batch", one], ["Batch", two]]


async def test_the_same_key_is_the_same_batch(ann: TaskClient) -> None:
    asked = {"tool": "big", "rows": [{"size": 3}], "key": "mine"}
    first, second = [facts(await ann.call("longhaul_batch", asked))["id"] for _ in range(2)]
    assert first == second
    other = await ann.call("longhaul_batch", {**asked, "rows": [{"size": 4}]})
    assert other["isError"]
    assert first in texts(other)[0]


@pytest.mark.parametrize("priority", [{"arguments": 7}, {"meta": 7}])
async def test_what_the_call_says_besides_holds_for_the_batch(
    ann: TaskClient, longhaul: Router, priority: dict[str, int]
) -> None:
    url = "http://127.0.0.1:9/hook"
    said: dict[str, Any] = {"longhaul/callback": {"url": url}, "longhaul/idempotency-key": "mine"}
    asked: dict[str, Any] = {"tool": "big", "rows": [{"size": 3}]}
    if "meta" in priority:
        said["longhaul/priority"] = priority["meta"]
    else:
        asked["priority"] = priority["arguments"]
    ids = [facts(await ann.call("longhaul_batch", asked, meta=said))["id"] for _ in range(2)]
    assert ids[0] == ids[1]
    await ann.call("longhaul_wait", {"ids": ids[:1]}, meta=LONG)
    batch, row = await longhaul.runtime.store.heads([ids[0], f"{ids[0]}.1"])
    assert batch is not None
    assert row is not None
    assert (batch.spec.callback, row.spec.priority) == (url, 7)
    private = {"longhaul/callback": {"url": "https://10.0.0.1/"}}
    refused = await ann.request("tools/call", tool="longhaul_batch", arguments=asked, meta=private)
    assert refused["error"]["code"] == -32_602


async def test_a_large_result_is_cut_and_has_an_id_of_its_own(ann: TaskClient) -> None:
    rows = [{"size": 3 * LONGEST}, {"size": 1}]
    batch = facts(await ann.call("longhaul_batch", {"tool": "big", "rows": rows}))["id"]
    await ann.call("longhaul_wait", {"ids": [batch]}, meta=LONG)
    large, small = texts(await ann.call("longhaul_result", {"id": batch}))[1].splitlines()
    assert len(large) < 2 * LONGEST
    assert f'longhaul_result with {{"id": "{batch}.1"}} has it whole' in large
    assert said_by(json.loads(small)) == "x"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"tool": "nope", "rows": [{}]}, "nope"),
        ({"tool": "big", "rows": []}, "Invalid arguments"),
        ({"tool": "big"}, "Invalid arguments"),
        ({"tool": "big", "rows": [{}], "blob": "0" * 64}, "Invalid arguments"),
        ({"tool": "big", "rows": ["x"]}, "Invalid arguments"),
        ({"tool": "big", "blob": "0" * 64}, "no"),
    ],
)
async def test_what_cannot_begin_is_told_to_the_model(
    ann: TaskClient, arguments: dict[str, Any], said: str
) -> None:
    answer = await ann.call("longhaul_batch", arguments)
    assert answer["isError"] is True
    assert said in texts(answer)[0]
