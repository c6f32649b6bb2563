"""`/v1/jobs` over a real server and store; the test itself is the worker."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from common.errors import NotFoundError
from common.jobs.change import WATCH_END, Note
from common.jobs.endings import complete, fail, let_go
from ingress.caller import Caller
from tests.support.surfaces import WORKER, Surface, surface
from tests.support.waiting import PATIENCE, until, until_answered

pytestmark = pytest.mark.anyio

RESULT = orjson.dumps({"content": [{"type": "text", "text": "done"}], "_meta": {"x": [1.50, None]}})
ERROR = {"code": -31_001, "message": "the run time limit passed"}


@pytest.fixture
async def rest(tmp_path: Path) -> AsyncIterator[Surface]:
    async with surface(tmp_path) as made:
        yield made


async def test_a_job_is_shown_as_the_design_says(rest: Surface) -> None:
    response = await rest.http.post(
        "/v1/jobs", json={"tool": "b__export", "arguments": {"rows": 3}, "priority": 7}
    )
    assert response.status_code == 202
    job = response.json()
    assert response.headers["location"] == f"/v1/jobs/{job['id']}"
    assert set(job) >= {
        *("id", "tool", "state", "priority", "queue", "tries", "created_at", "started_at"),
        *("finished_at", "progress", "waiting_because", "result", "error", "tool_error"),
        *("input_requests", "caller", "repeatable", "reason"),
    }
    assert job["state"] == "queued"
    assert job["priority"] == 7
    assert job["queue"] == "b"
    assert job["caller"] == "local"
    assert job["waiting_because"] == "no worker is running"
    assert job["created_at"].endswith("Z")
    assert (await rest.http.get(f"/v1/jobs/{job['id']}")).json()["id"] == job["id"]


async def test_a_completed_job_has_its_result_verbatim(rest: Surface) -> None:
    job = (await rest.submit())["id"]
    head = await rest.start(job)
    await rest.runtime.store.note(
        job, Note(fields={"progress": '[2.0,3.0,"two of three"]'}, claim=head.claims)
    )
    running = (await rest.http.get(f"/v1/jobs/{job}")).json()
    assert running["state"] == "running"
    assert running["waiting_because"] is None
    assert running["progress"] == {"value": 2.0, "total": 3.0, "message": "two of three"}
    await rest.commit(job, complete(head, RESULT, rest.retention, tool_error=False))
    shown = (await rest.http.get(f"/v1/jobs/{job}")).json()
    assert (shown["state"], shown["tool_error"], shown["error"]) == ("completed", False, None)
    assert shown["result"] == orjson.loads(RESULT)
    raw = await rest.http.get(f"/v1/jobs/{job}/result")
    assert raw.content == RESULT
    assert raw.headers["content-type"] == "application/json"


async def test_a_failed_job_has_an_error_and_no_result(rest: Surface) -> None:
    job = (await rest.submit())["id"]
    early = await rest.http.get(f"/v1/jobs/{job}/result")
    assert early.status_code == 409
    assert early.json()["type"] == "urn:longhaul:error:not-finished"
    await rest.commit(job, fail(await rest.start(job), ERROR, rest.retention))
    shown = (await rest.http.get(f"/v1/jobs/{job}")).json()
    assert (shown["state"], shown["result"]) == ("failed", None)
    assert shown["error"] == ERROR | {"data": None}
    late = await rest.http.get(f"/v1/jobs/{job}/result")
    assert late.status_code == 409
    assert late.json()["type"] == "urn:longhaul:error:no-result"
    assert late.json()["error"] == ERROR


async def test_a_waiting_request_is_answered_at_the_end_of_the_job(rest: Surface) -> None:
    job = (await rest.submit())["id"]
    waiting = asyncio.create_task(rest.http.get(f"/v1/jobs/{job}", params={"wait": 55}))
    await until_answered(lambda: followed(rest, job))
    head = await rest.start(job)
    await rest.commit(job, complete(head, RESULT, rest.retention, tool_error=False))
    async with asyncio.timeout(PATIENCE):
        assert (await waiting).json()["state"] == "completed"


async def test_a_waiting_request_is_answered_when_its_time_is_over(rest: Surface) -> None:
    job = (await rest.submit())["id"]
    shown = await rest.http.get(f"/v1/jobs/{job}", params={"wait": 0.1})
    assert shown.json()["state"] == "queued"


@pytest.mark.parametrize("stream", [False, True])
async def test_who_leaves_is_waited_for_no_longer(rest: Surface, *, stream: bool) -> None:
    job = (await rest.submit())["id"]
    path, headers = f"/v1/jobs/{job}?wait=55", {}
    if stream:
        path, headers = f"/v1/jobs/{job}/events", {"accept": "text/event-stream"}
    waiting = asyncio.create_task(rest.http.get(path, headers=headers))
    await until(lambda: rest.ingress.follower.following == 1)
    waiting.cancel()
    await until(lambda: rest.ingress.follower.following == 0)
    assert (await rest.head(job)).state == "queued"


async def test_who_submits_and_leaves_is_waited_for_no_longer(rest: Surface) -> None:
    body = {"tool": "b__export", "arguments": {"rows": 1}, "wait": 55}
    waiting = asyncio.create_task(rest.http.post("/v1/jobs", json=body))
    await until(lambda: rest.ingress.follower.following == 1)
    waiting.cancel()
    await until(lambda: rest.ingress.follower.following == 0)
    assert len((await rest.http.get("/v1/jobs")).json()["jobs"]) == 1


async def test_who_waits_is_answered_when_the_router_stops(rest: Surface) -> None:
    job = (await rest.submit())["id"]
    headers = {"accept": "text/event-stream"}
    waiting = asyncio.create_task(rest.http.get(f"/v1/jobs/{job}", params={"wait": 55}))
    await until_answered(lambda: followed(rest, job))
    stream = asyncio.create_task(rest.http.get(f"/v1/jobs/{job}/events", headers=headers))
    await until_answered(lambda: followed(rest, job, closely=True))
    rest.ingress.wait.stop()
    async with asyncio.timeout(PATIENCE):
        assert (await waiting).json()["state"] == "queued"
        assert (await stream).text.count("event: job") == 1


async def test_a_job_of_somebody_else_does_not_exist(rest: Surface) -> None:
    job = (await rest.submit())["id"]
    other = Caller(name="other")
    with pytest.raises(NotFoundError):
        await rest.ingress.read.head(job, other)
    assert (await rest.ingress.read.list(other, limit=10)).heads == []
    assert (await rest.ingress.read.head(job, Caller(name="local"))).id == job


async def test_a_submission_may_wait_for_the_end(rest: Surface) -> None:
    asked = asyncio.create_task(
        rest.http.post("/v1/jobs", json={"tool": "b__export", "arguments": {"rows": 1}, "wait": 55})
    )

    async def submitted() -> list[str]:
        return [job["id"] for job in (await rest.http.get("/v1/jobs")).json()["jobs"]]

    (job,) = await until_answered(submitted)
    head = await rest.start(job)
    await rest.commit(job, complete(head, RESULT, rest.retention, tool_error=True))
    answer = await asked
    assert answer.status_code == 200
    assert answer.json()["tool_error"] is True


async def test_a_cancel_holds_at_once_and_is_harmless_afterwards(rest: Surface) -> None:
    job = (await rest.submit())["id"]
    await rest.start(job)
    first = await rest.http.delete(f"/v1/jobs/{job}")
    assert first.status_code == 202
    assert (first.json()["state"], first.json()["still_running"]) == ("cancelled", True)
    await rest.commit(job, let_go(await rest.head(job), rest.retention))
    again = await rest.http.delete(f"/v1/jobs/{job}")
    assert again.status_code == 200
    assert again.json()["reason"] == "cancelled by local"


async def test_lists_are_filtered_and_paged(rest: Surface) -> None:
    jobs = [(await rest.submit(n))["id"] for n in range(5)]
    await rest.start(jobs[2])
    first = (await rest.http.get("/v1/jobs", params={"limit": 3})).json()
    rest_of = await rest.http.get("/v1/jobs", params={"limit": 3, "cursor": first["cursor"]})
    second = rest_of.json()
    assert {job["id"] for job in (*first["jobs"], *second["jobs"])} == set(jobs)
    assert second["cursor"] is None
    running = (await rest.http.get("/v1/jobs", params={"state": "running"})).json()
    assert [job["id"] for job in running["jobs"]] == [jobs[2]]
    other = (await rest.http.get("/v1/jobs", params={"tool": "b__other"})).json()
    assert other["jobs"] == []


async def test_events_tell_what_happened(rest: Surface) -> None:
    job = (await rest.submit())["id"]
    await rest.start(job)
    events = (await rest.http.get(f"/v1/jobs/{job}/events")).json()["events"]
    assert [(event["number"], event["name"]) for event in events] == [
        (1, "submitted"),
        (2, "claimed"),
    ]
    assert events[1]["facts"] == {"worker": WORKER}


HALF = '"\\ud83d"'  # of an emoji, as it is left by a client that cuts texts


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("jobs", f'{{"tool": {HALF}}}'),
        ("jobs", f'{{"tool": "b__export", "arguments": {{"rows": {HALF}}}}}'),
        ("jobs", f'{{"tool": "b__export", "arguments": {{"rows": 1, "more": {HALF}}}}}'),
        ("jobs", f'{{"tool": "b__export", "arguments": {{"rows": 1}}, {HALF}: 1}}'),
        ("jobs/0/answer", f'{{"answers": {{"1.name": {{"action": {HALF}}}}}}}'),
        ("dead-letters/0/replay", f'{{"arguments": {{"rows": {HALF}}}}}'),
        ("keys", f'{{"name": {HALF}}}'),
        ("batches/0/retry", f'{{"lost": {HALF}}}'),
        ("jobs", f'{{"tool": "b__export", "arguments": {{"rows": 1, "more": {"9" * 400}}}}}'),
    ],
)
async def test_what_only_some_parsers_take_is_no_json(rest: Surface, path: str, body: str) -> None:
    json = {"content-type": "application/json"}
    response = await rest.http.post(f"/v1/{path}", content=body, headers=json)
    assert (response.status_code, response.json()["detail"]) == (400, "the body is not JSON")
    assert (await rest.http.get("/v1/jobs")).json()["jobs"] == []


async def test_a_preview_of_any_size_is_as_much_as_a_record_keeps(rest: Surface) -> None:
    job = await rest.submit(preview=10**30)
    assert job["state"] == "queued"


@pytest.mark.parametrize(
    ("body", "status", "name", "words"),
    [
        ({"tool": "nope"}, 404, "not-found", "Unknown tool: nope"),
        ({"tool": "b__export"}, 422, "invalid-arguments", "rows"),
        ({"tool": "b__export", "arguments": {"rows": "x"}}, 422, "invalid-arguments", "at rows"),
        ({"tool": "b__export", "priority": 10}, 422, "invalid-request", "body.priority"),
        ({"tool": "b__export", "wait": -1}, 422, "invalid-request", "body.wait"),
        ({"tool": "b__export", "argument": {}}, 422, "invalid-request", "body.argument"),
        ({}, 422, "invalid-request", "body.tool"),
    ],
)
async def test_a_bad_submission_is_refused_and_nothing_is_stored(
    rest: Surface, body: dict[str, object], status: int, name: str, words: str
) -> None:
    response = await rest.http.post("/v1/jobs", json=body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == f"urn:longhaul:error:{name}"
    assert words in response.json()["detail"]
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert (await rest.http.get("/v1/jobs")).json()["jobs"] == []


async def test_a_full_queue_refuses_and_says_when_to_come_back(tmp_path: Path) -> None:
    async with surface(tmp_path, queues={"b": {"max_waiting": 1}}) as rest:
        await rest.submit()
        body = {"tool": "b__export", "arguments": {"rows": 1}}
        response = await rest.http.post("/v1/jobs", json=body)
        assert response.status_code == 429
        assert response.headers["retry-after"] == "5"
        assert response.json()["type"] == "urn:longhaul:error:full"


async def followed(rest: Surface, job: str, *, closely: bool = False) -> bool:
    """Somebody hears of its end, or of everything."""
    watchers = (await rest.head(job)).watchers
    return bool(watchers) and (not closely or WATCH_END not in watchers)
