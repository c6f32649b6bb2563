"""A store that is away: refused at once, said where people look, and over when it is back."""

import asyncio
import time
from pathlib import Path

import httpx2
import pytest

from common.store.redis.link import ANSWER_WITHIN
from tests.support.private import PrivateServer
from tests.support.surfaces import Surface, surface
from tests.support.waiting import until_answered

pytestmark = pytest.mark.anyio

CALL = {"tool": "b__export", "arguments": {"rows": 1}}
ASKS = ("/v1/jobs", "/v1/jobs/00000000000000000000aa", "/v1/queues")


@pytest.mark.parametrize("how", ["stop", "pause"])
async def test_a_call_is_refused_soon_and_taken_afterwards(
    tmp_path: Path, private_redis: PrivateServer, how: str
) -> None:
    async with surface(tmp_path, store_url=private_redis.url) as rest:
        await rest.submit()
        assert "longhaul_store_up 1.0" in (await rest.http.get("/metrics")).text
        getattr(private_redis, how)()
        await refused_soon(rest)
        if how == "stop":
            private_redis.start()
        else:
            private_redis.resume()

        async def taken() -> bool:
            return (await rest.http.post("/v1/jobs", json=CALL)).status_code == 202

        assert await until_answered(taken, seconds=20)
        assert (await rest.http.get("/readyz")).status_code == 200


async def refused_soon(rest: Surface) -> None:
    before = time.monotonic()
    alive, ready, metrics, *answers = await asyncio.gather(
        *(rest.http.get(path) for path in ("/livez", "/readyz", "/metrics")),
        rest.http.post("/v1/jobs", json=CALL),
        *(rest.http.get(path) for path in ASKS),
    )
    assert time.monotonic() - before < ANSWER_WITHIN + 0.5
    assert alive.status_code == 200
    assert (ready.status_code, ready.json()["reasons"]) == (503, ["the store does not answer"])
    assert "longhaul_store_up 0.0" in metrics.text
    for answer in answers:
        assert_refused(answer)


def assert_refused(answer: httpx2.Response) -> None:
    assert answer.status_code == 503, answer.request.url
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["type"] == "urn:longhaul:error:store-unreachable"
