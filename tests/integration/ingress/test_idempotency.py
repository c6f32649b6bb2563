"""Idempotency keys over REST: the same caller, key and call is one job, whatever happens to it."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import orjson
import pytest

from common.jobs.endings import complete
from tests.support.receiver import CALLBACKS
from tests.support.surfaces import Surface, surface
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

RESULT = orjson.dumps({"content": [{"type": "text", "text": "done"}]})
CALL = {"tool": "b__export", "arguments": {"rows": 3}}


async def post(rest: Surface, key: str, **more: Any) -> httpx2.Response:
    return await rest.http.post("/v1/jobs", json=CALL | more, headers={"idempotency-key": key})


async def jobs(rest: Surface) -> list[str]:
    return [job["id"] for job in (await rest.http.get("/v1/jobs")).json()["jobs"]]


async def test_the_same_call_with_the_same_key_is_the_same_job(anywhere: Surface) -> None:
    first = await post(anywhere, "k1")
    again = await post(anywhere, "k1", priority=9)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["location"] == first.headers["location"]
    assert await jobs(anywhere) == [first.json()["id"]]
    assert (await post(anywhere, "k2")).json()["id"] != first.json()["id"]
    assert (await anywhere.submit())["id"] != first.json()["id"]


async def test_the_order_of_members_makes_no_other_call(tmp_path: Path) -> None:
    async with surface(tmp_path) as rest:
        one = await post(rest, "k", arguments={"rows": 3, "more": {"a": 1, "b": 2**70}})
        other = await post(rest, "k", arguments={"more": {"b": 2**70, "a": 1}, "rows": 3})
        assert one.json()["id"] == other.json()["id"]


async def test_the_key_of_another_call_is_a_conflict(anywhere: Surface) -> None:
    job = (await post(anywhere, "k")).json()["id"]
    for other in ({"rows": 4}, {"rows": 3, "more": True}, {"rows": 3, "more": 1}):
        refused = await post(anywhere, "k", arguments=other)
        assert refused.status_code == 409
        assert refused.json()["type"] == "urn:longhaul:error:idempotency-conflict"
        assert job in refused.json()["detail"]
    assert await jobs(anywhere) == [job]


async def test_a_callback_that_would_not_be_told_is_a_conflict(tmp_path: Path) -> None:
    async with surface(tmp_path, callbacks=dict(CALLBACKS)) as rest:
        one, other = ({"url": f"http://127.0.0.1:1/{name}"} for name in ("one", "other"))
        job = (await post(rest, "k", callback=one)).json()["id"]
        assert (await post(rest, "k", callback=one)).json()["id"] == job
        assert (await post(rest, "k")).json()["id"] == job
        refused = await post(rest, "k", callback=other)
        assert refused.json()["type"] == "urn:longhaul:error:idempotency-conflict"
        await post(rest, "without")
        assert (await post(rest, "without", callback=one)).status_code == 409


async def test_many_at_once_are_one_job(anywhere: Surface) -> None:
    answers = await asyncio.gather(*(post(anywhere, "k") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    assert {answer.json()["id"] for answer in answers} == set(await jobs(anywhere))
    assert len(await jobs(anywhere)) == 1


async def test_a_job_that_has_ended_is_answered_with_its_result(anywhere: Surface) -> None:
    job = (await post(anywhere, "k")).json()["id"]
    head = await anywhere.start(job)
    await anywhere.commit(job, complete(head, RESULT, anywhere.retention, tool_error=False))
    again = await post(anywhere, "k", wait=9)
    assert again.status_code == 200
    assert (again.json()["id"], again.json()["result"]) == (job, orjson.loads(RESULT))


async def test_a_submission_whose_reply_was_lost_is_repeated(anywhere: Surface) -> None:
    await send_and_leave(anywhere, orjson.dumps(CALL), {"idempotency-key": "k"})
    (job,) = await until_answered(lambda: jobs(anywhere))
    again = await post(anywhere, "k")
    assert (again.status_code, again.json()["id"]) == (202, job)
    assert await jobs(anywhere) == [job]


async def test_a_key_is_free_again_when_its_record_is_gone(anywhere: Surface) -> None:
    job = (await post(anywhere, "k")).json()["id"]
    head = await anywhere.head(job)
    assert await anywhere.runtime.store.remove(job, version=head.version)
    assert (await post(anywhere, "k", arguments={"rows": 4})).json()["id"] != job


async def test_two_callers_may_have_the_same_key(tmp_path: Path) -> None:
    keys = [{"key": f"{caller}-key", "caller": caller} for caller in ("ann", "bob")]
    headers = {"x-api-key": "ann-key"}
    async with surface(tmp_path, headers=headers, listen={"api_keys": keys}) as rest:
        anns = await post(rest, "k")
        bobs = await rest.http.post(
            "/v1/jobs",
            json=CALL | {"arguments": {"rows": 9}},
            headers={"idempotency-key": "k", "x-api-key": "bob-key"},
        )
        assert (anns.json()["caller"], bobs.json()["caller"]) == ("ann", "bob")
        assert anns.json()["id"] != bobs.json()["id"]


async def test_a_full_queue_refuses_no_repetition(tmp_path: Path) -> None:
    async with surface(tmp_path, queues={"b": {"max_waiting": 1}}) as rest:
        job = (await post(rest, "k")).json()["id"]
        assert (await post(rest, "other")).status_code == 429
        assert (await post(rest, "k")).json()["id"] == job


@pytest.mark.parametrize("key", ["", "two words", "é".encode().decode("latin-1"), "k" * 256])
async def test_a_key_that_is_none_is_refused(tmp_path: Path, key: str) -> None:
    async with surface(tmp_path) as rest:
        sent = {b"idempotency-key": key.encode("latin-1")}
        refused = await rest.http.post("/v1/jobs", json=CALL, headers=sent)
        assert refused.status_code == 422
        assert "idempotency-key" in refused.json()["detail"]
        assert (await post(rest, "k" * 255)).status_code == 202


async def send_and_leave(rest: Surface, body: bytes, headers: dict[str, str]) -> None:
    """A POST of a job whose client does not wait for the response."""
    address = urlsplit(str(rest.http.base_url))
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    said = {
        "host": address.netloc,
        "content-type": "application/json",
        "content-length": str(len(body)),
        **headers,
    }
    lines = [f"{name}: {value}" for name, value in said.items()]
    writer.write("\r\n".join(["POST /v1/jobs HTTP/1.1", *lines, "", ""]).encode() + body)
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert await reader.read() == b""
