"""What a caller hears while it is held, and for how long it is."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client

from common.config.model import Answering
from common.jobs.state import JobState
from tests.support.backends.legacy_http import LegacyHttp
from tests.support.routers import (
    LegacyClient,
    Router,
    last_message,
    messages,
    modern_call,
    offer,
    router,
    tool,
)

pytestmark = pytest.mark.anyio

MODES = ["auto", "legacy", "2026-07-28"]
PATIENT = Answering(heartbeat=0.2, call_wait=30.0)
HASTY = Answering(call_wait=0.3)


@pytest.mark.parametrize("mode", MODES)
async def test_heartbeats_until_the_answer(
    backend: LegacyHttp, backend_url: str, tmp_path: Path, mode: Any
) -> None:
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        del total
        heard.append((progress, message))
        if len(heard) == 3:
            backend.released.set()

    async with (
        router(tmp_path, backend_url, answering=PATIENT) as longhaul,
        Client(longhaul.url, mode=mode) as client,
    ):
        result = await client.call_tool("wait", {}, progress_callback=hear)
    assert result.model_dump()["content"][0]["text"] == "done"
    assert [message for _, message in heard[:3]] == ["running for 0 s"] * 3
    assert all(later > earlier for (earlier, _), (later, _) in pairwise(heard))


async def test_without_a_token_nothing_is_said_before_the_answer(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=PATIENT) as longhaul:
        call = asyncio.create_task(http.post(longhaul.url, **modern_call("wait")))
        await backend.waiting.wait()
        await asyncio.sleep(0.5)  # more than two heartbeats, of which none may come
        backend.released.set()
        assert (await call).headers["content-type"] == "application/json"


async def test_a_queued_caller_hears_how_many_come_first(
    backend_url: str, http: httpx2.AsyncClient, tmp_path: Path
) -> None:
    async with router(tmp_path, backend_url, answering=PATIENT, slots=0) as longhaul:
        await offer(longhaul, tool("echo"))
        await http.post(longhaul.url, **modern_call("echo", meta={"longhaul/wait": 0}))
        meta = {"progressToken": "p", "longhaul/wait": 0.5, "longhaul/new": True}
        response = await http.post(longhaul.url, **modern_call("echo", meta=meta))
    said = [each["params"] for each in messages(response.text) if "params" in each]
    assert said[0] == {"progressToken": "p", "progress": 0.0, "message": said[0]["message"]}
    assert said[0]["message"] == "queued, 1 job before it, 0 s"
    assert "queued, 1 job before it" in str(last_message(response.text)["result"])


@pytest.mark.parametrize("mode", MODES)
async def test_progress_is_relayed(longhaul: Router, mode: Any) -> None:
    heard: list[float] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        del total, message
        heard.append(progress)

    async with Client(longhaul.url, mode=mode) as client:
        await client.call_tool("steps", {"count": 40, "who": "me"}, progress_callback=hear)
    assert heard[-1] == 40
    assert all(later > earlier for earlier, later in pairwise(heard))


async def test_a_modern_caller_gets_the_log_lines_it_asked_for(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    level = "io.modelcontextprotocol/logLevel"
    for asked, expected in (("info", 2), ("warning", 0), (None, 0)):
        meta = {level: asked} if asked else {}
        call = modern_call("steps", {"count": 2, "who": asked}, meta=meta)
        response = await http.post(longhaul.url, **call)
        said = messages(response.text)[:-1]
        assert [each["method"] for each in said] == ["notifications/message"] * expected
        assert [each["params"] for each in said] == [
            {"level": "info", "data": f"{asked} {number}"} for number in range(1, expected + 1)
        ]


async def test_a_legacy_session_gets_the_log_lines_it_asked_for(
    longhaul: Router, http: httpx2.AsyncClient
) -> None:
    asking, silent = LegacyClient(http, longhaul.url), LegacyClient(http, longhaul.url)
    await asking.initialize()
    await silent.initialize()
    await asking.post("logging/setLevel", {"level": "info"}, id=1)
    params = {"name": "steps", "arguments": {"count": 2, "who": "me"}}
    heard, quiet = await asyncio.gather(
        asking.post("tools/call", params, id=2), silent.post("tools/call", params, id=2)
    )
    assert [each["params"]["data"] for each in messages(heard.text)[:-1]] == ["me 1", "me 2"]
    assert len(messages(quiet.text)) == 1


@pytest.mark.parametrize("mode", MODES)
async def test_held_long_enough_a_caller_gets_the_id(
    backend: LegacyHttp, backend_url: str, tmp_path: Path, mode: Any
) -> None:
    backend.tools.append(tool("wait", outputSchema={"type": "object"}))
    del backend.tools[2]  # the plain "wait"
    async with (
        router(tmp_path, backend_url, answering=HASTY) as longhaul,
        Client(longhaul.url, mode=mode) as client,
    ):
        result = (await client.call_tool("wait", {})).model_dump(by_alias=True)
        job = await longhaul.only_job()
        assert (job.handed_off, job.cancel_at, job.state) == (True, 0, JobState.RUNNING)
        assert result["isError"] is True
        assert result["content"][0]["text"].startswith(
            f"Not an error: still running as job {job.id}: running for 0 s."
        )
        assert f"longhaul jobs wait {job.id}" in result["content"][0]["text"]
        assert result["_meta"]["longhaul/job"]["id"] == job.id
        backend.released.set()
        done = await longhaul.until_state(JobState.COMPLETED)
        assert not done.answered


@pytest.mark.parametrize("where", ["meta", "header", "client", "progress"])
async def test_who_waits_longer(
    backend: LegacyHttp, backend_url: str, http: httpx2.AsyncClient, tmp_path: Path, where: str
) -> None:
    clients = {"patient*": {"call_wait": "forever"}}
    answering = Answering(call_wait=0.1, progress_wait=20.0)
    async with router(tmp_path, backend_url, answering=answering, clients=clients) as longhaul:
        meta: dict[str, dict[str, Any]] = {
            "meta": {"longhaul/wait": 20},
            "client": {
                "io.modelcontextprotocol/clientInfo": {"name": "patient-ide", "version": "1"}
            },
            "progress": {"progressToken": 1},
            "header": {},
        }
        call = modern_call("wait", meta=meta[where])
        if where == "header":
            call["headers"]["x-longhaul-wait"] = "20"
        answer = asyncio.create_task(http.post(longhaul.url, **call))
        await backend.waiting.wait()
        await asyncio.sleep(0.4)  # four times what others wait
        backend.released.set()
        assert "done" in (await answer).text
