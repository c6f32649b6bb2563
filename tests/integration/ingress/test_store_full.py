"""A store with little memory left: new jobs are refused, those that are there go on and end."""

from functools import partial
from pathlib import Path

import httpx2
import pytest
import redis

from common.jobs.endings import complete
from common.jobs.state import JobState
from ingress.operations import headroom
from tests.support.private import PrivateServer
from tests.support.surfaces import Surface, surface
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

CALL = {"tool": "b__export", "arguments": {"rows": 1}}
LIMIT = 64 << 20


async def test_new_jobs_are_refused_and_the_others_end(
    tmp_path: Path, private_redis: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(headroom, "FRESH", 0.01)
    with redis.Redis.from_url(private_redis.url) as server:
        async with surface(tmp_path, store_url=private_redis.url) as rest:
            running = await rest.start((await rest.submit())["id"])
            mine = {"Idempotency-Key": "mine"}
            before = await rest.http.post("/v1/jobs", json=CALL, headers=mine)
            server.set("ballast", b"x" * round(LIMIT * 0.8))
            server.config_set("maxmemory", LIMIT)
            try:
                assert_refused(await until_answered(partial(answered, rest, 429)))
                again = await rest.http.post("/v1/jobs", json=CALL, headers=mine)
                assert again.json()["id"] == before.json()["id"]
                assert await memory_warnings(rest) == 1
                change = complete(running, b"{}", rest.retention, tool_error=False)
                await rest.commit(running.id, change)
                assert (await rest.head(running.id)).state is JobState.COMPLETED
            finally:
                server.config_set("maxmemory", 0)
                server.delete("ballast")
            assert await memory_warnings(rest) == 0
            await until_answered(partial(answered, rest, 202))


async def answered(rest: Surface, status: int) -> httpx2.Response | None:
    """The answer to a new job, once it is this one: the memory is looked at now and then."""
    answer = await rest.http.post("/v1/jobs", json=CALL)
    return answer if answer.status_code == status else None


def assert_refused(answer: httpx2.Response | None) -> None:
    assert answer is not None
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")
    assert "memory is " in answer.json()["detail"]


async def memory_warnings(rest: Surface) -> int:
    ready = await rest.http.get("/readyz")
    assert ready.status_code == 200
    return sum("memory" in warning for warning in ready.json()["warnings"])
