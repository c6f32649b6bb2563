"""Calls behind a bridge: what a lost connection means for them, and who may cancel them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from common.config.model import Answering, ApiKey, Listen
from common.jobs.state import JobState
from ingress.mcp.endpoint import McpEndpoint
from tests.support.backends.legacy_http import LegacyHttp
from tests.support.backends.serving import served
from tests.support.routers import MODERN, Router, door_to, modern_call, router
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

SOON = Answering(abandon_after=900.0, orphan_ttl=0.2)
LATER = Answering(abandon_after=0.2, orphan_ttl=900.0)
TWO = Listen(
    api_keys=(ApiKey(key="key-of-a", caller="a"), ApiKey(key="key-of-b", caller="b")),
)


def bridged(request: dict[str, Any], bridge: str = "one", key: str = "") -> dict[str, Any]:
    headers = {**request["headers"], "x-longhaul-bridge": bridge}
    return {**request, "headers": headers | ({"x-api-key": key} if key else {})}


def cancelling(request: object = 1) -> dict[str, Any]:
    body = {
        "jsonrpc": "2.0",
        "method": "notifications/cancelled",
        "params": {"requestId": request, "reason": "enough"},
    }
    headers = {"mcp-protocol-version": MODERN, "mcp-method": "notifications/cancelled"}
    return {"json": body, "headers": headers}


@asynccontextmanager
async def under_way(
    longhaul: Router, backend: LegacyHttp, http: httpx2.AsyncClient, key: str = ""
) -> AsyncIterator[asyncio.Task[httpx2.Response]]:
    """A call of bridge `one`, request 1, once its tool runs."""
    call = asyncio.create_task(http.post(longhaul.url, **bridged(modern_call("wait"), key=key)))
    await backend.waiting.wait()
    try:
        yield call
    finally:
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)


async def test_a_lost_connection_is_no_closed_stream(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=LATER) as longhaul:
        async with under_way(longhaul, backend, http):
            pass

        async def handed_off() -> bool:
            return bool((await longhaul.only_job()).handed_off)

        await until_answered(handed_off)
        job = await longhaul.only_job()
        assert job.state is JobState.RUNNING
        assert 890 < job.cancel_at / 1000 - longhaul.runtime.clock.now() <= 900
        backend.released.set()
        await longhaul.until_state(JobState.COMPLETED)


async def test_a_lost_call_is_cancelled_in_the_end(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=SOON) as longhaul:
        async with under_way(longhaul, backend, http):
            pass
        job = await longhaul.until_state(JobState.CANCELLED)
        assert job.reason == "nobody waited for it any more"


async def test_its_own_bridge_cancels_a_call(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with (
        router(tmp_path, backend_url) as longhaul,
        under_way(longhaul, backend, http) as call,
    ):
        said = await http.post(longhaul.url, **bridged(cancelling()))
        assert said.status_code == 202
        job = await longhaul.until_state(JobState.CANCELLED)
        assert job.reason == "cancelled by the client"
        assert f"job {job.id} was cancelled" in (await call).text
        await until(lambda: any(each.is_set() for each in backend.cancelled.values()))


async def test_nobody_else_does(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with (
        router(tmp_path, backend_url, listen=TWO) as longhaul,
        under_way(longhaul, backend, http, key="key-of-a") as call,
    ):
        mine = {"key": "key-of-a"}
        for said in (
            bridged(cancelling(), bridge="two", **mine),
            bridged(cancelling(), key="key-of-b"),
            bridged(cancelling(request="1"), **mine),
            bridged(cancelling(request=2), **mine),
        ):
            assert (await http.post(longhaul.url, **said)).status_code == 202
        plain = cancelling()
        plain["headers"]["x-api-key"] = "key-of-a"
        assert (await http.post(longhaul.url, **plain)).status_code == 202
        assert (await longhaul.only_job()).state is JobState.RUNNING
        backend.released.set()
        assert "done" in (await call).text


async def test_a_cancel_that_overtook_its_call_counts(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url) as longhaul:
        await http.post(longhaul.url, **bridged(cancelling()))
        answer = await http.post(longhaul.url, **bridged(modern_call("wait")))
        assert "cancelled before it was begun" in answer.text
        assert await longhaul.jobs() == []
        backend.released.set()
        again = await http.post(longhaul.url, **bridged(modern_call("wait")))
        assert "done" in again.text


async def test_a_cancel_may_reach_another_replica(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with (
        router(tmp_path, backend_url) as longhaul,
        another_endpoint(longhaul) as other,
        under_way(longhaul, backend, http),
    ):
        assert (await http.post(other, **bridged(cancelling()))).status_code == 202
        await longhaul.until_state(JobState.CANCELLED)


@asynccontextmanager
async def another_endpoint(longhaul: Router) -> AsyncIterator[str]:
    """As a second ingress has it, on the same runtime."""
    ingress, runtime = longhaul.ingress, longhaul.runtime
    endpoint = McpEndpoint(ingress)
    async with endpoint.run(), served(door_to(endpoint, runtime)) as base:
        yield f"{base}/mcp"


async def test_a_cancel_that_names_nothing_is_refused(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url) as longhaul:
        for named in (None, True, [1]):
            said = await http.post(longhaul.url, **bridged(cancelling(request=named)))
            assert said.status_code == 400
