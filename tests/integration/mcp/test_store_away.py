"""A store that does not answer: refused in time, and the truth about what may run."""

import time
from pathlib import Path

import httpx2
import pytest

from common.errors import StoreUnreachableError
from common.jobs.state import JobState
from tests.support.private import PrivateServer
from tests.support.routers import LegacyClient, last_message, modern_call, router

pytestmark = [pytest.mark.anyio, pytest.mark.servers]


async def test_a_store_that_is_down(
    private_redis: PrivateServer, backend_url: str, tmp_path: Path
) -> None:
    async with (
        httpx2.AsyncClient(timeout=20) as http,
        router(tmp_path, backend_url, store_url=private_redis.url) as longhaul,
    ):
        legacy = LegacyClient(http, longhaul.url)
        await legacy.initialize()
        private_redis.kill()
        with pytest.raises(StoreUnreachableError):
            await longhaul.runtime.store.now()
        began = time.monotonic()
        response = await http.post(longhaul.url, **modern_call("echo"))
        assert time.monotonic() - began < 6
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
        error = response.json()["error"]
        assert error["code"] == -32603
        assert error["data"] == {"retryable": True, "retryAfterMs": 5000}
        answer = last_message((await legacy.post("tools/call", {"name": "echo"}, id=1)).text)
        assert answer["error"] == error
        assert (await http.post(longhaul.url, **modern_call("", method="tools/list"))).is_success
        private_redis.start()
        response = await http.post(longhaul.url, **modern_call("echo"))
        assert response.json()["result"]["content"] == [{"type": "hologram"}]


async def test_a_store_that_falls_silent_in_the_middle(
    private_redis: PrivateServer, backend_url: str, tmp_path: Path
) -> None:
    async with (
        httpx2.AsyncClient(timeout=20) as http,
        router(tmp_path, backend_url, store_url=private_redis.url) as longhaul,
    ):
        private_redis.pause()
        response = await http.post(longhaul.url, **modern_call("echo"))
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (200, -32603)
        assert error["data"]["retryable"] is False
        private_redis.resume()
        job = await longhaul.until_state(JobState.COMPLETED)
        assert job.id == error["data"]["job"]
