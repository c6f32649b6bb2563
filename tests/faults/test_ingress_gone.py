"""An ingress that goes while it holds a call: by SIGKILL, and as one that is asked to stop."""

import asyncio
import signal
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from common.config.model import Settings
from common.jobs.endings import RESULT
from common.jobs.head import Head
from common.jobs.indexes import ALL
from common.jobs.state import JobState
from common.runtime import Runtime, open_runtime
from tests.support.namespaces import Namespace
from tests.support.ports import free_port
from tests.support.roles import environment, offers, role
from tests.support.routers import last_message, modern_call
from tests.support.servers import Shared
from tests.support.system import gated
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio


@dataclass(frozen=True, kw_only=True)
class Roles:
    """One ingress and one worker, and the store as others see it."""

    url: str
    ingress: subprocess.Popen[bytes]
    runtime: Runtime
    folder: Path

    def work(self) -> dict[str, Any]:
        """A call of the tool that waits until `gate` exists."""
        arguments = {"log": str(self.folder / "log"), "gate": str(self.folder / "gate")}
        return modern_call("b__work", arguments)

    async def started(self) -> None:
        await until((self.folder / "log").exists, seconds=20)

    async def until_so(self, **fields: Any) -> Head:
        async def so() -> Head | None:
            heads = (await self.runtime.store.page(ALL, limit=5)).heads
            assert len(heads) == 1
            fits = all(getattr(heads[0], name) == value for name, value in fields.items())
            return heads[0] if fits else None

        head = await until_answered(so, seconds=40, every=0.1)
        assert head is not None
        return head


@pytest.fixture
async def roles(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    rabbit: Shared,
    redis_server: Shared,
    namespace: Namespace,
) -> AsyncIterator[Roles]:
    backend = gated()
    servers = {"b": {"command": backend.command, "args": list(backend.args)}}
    (tmp_path / "longhaul.yaml").write_text(yaml.safe_dump({"mcpServers": servers}))
    env = environment(
        broker_url=rabbit.url,
        store_url=redis_server.url,
        namespace=namespace,
        data=str(tmp_path / "data"),
        drain=getattr(request, "param", "1s"),
    )
    namespace.queues.add("b")
    port = free_port()
    settings = Settings(store_url=redis_server.url, namespace=namespace)
    with (
        role("worker", folder=tmp_path, env=env),
        role("ingress", "--port", str(port), folder=tmp_path, env=env) as ingress,
    ):
        async with open_runtime(settings) as runtime:
            url = f"http://127.0.0.1:{port}"
            await until_answered(lambda: offers(f"{url}/mcp", "b__work"), seconds=30)
            yield Roles(url=f"{url}/mcp", ingress=ingress, runtime=runtime, folder=tmp_path)


async def test_killed_its_call_goes_on_as_if_handed_off(roles: Roles) -> None:
    async with httpx2.AsyncClient(timeout=60) as http:
        call = asyncio.create_task(http.post(roles.url, **roles.work()))
        await roles.started()
        roles.ingress.kill()
        with pytest.raises(httpx2.HTTPError):
            await call
    job = await roles.until_so(handed_off=True)
    assert (job.state, job.holder, job.cancel_at) == (JobState.RUNNING, "", 0)
    (roles.folder / "gate").touch()
    job = await roles.until_so(state=JobState.COMPLETED)
    assert not job.answered
    assert b"run 1" in (await roles.runtime.store.part(job.id, RESULT) or b"")


@pytest.mark.parametrize("roles", ["60s"], indirect=True)
async def test_asked_to_stop_it_lets_held_calls_finish(roles: Roles) -> None:
    """Nobody else comes in meanwhile, and streams that would last end at once."""
    base = roles.url.removesuffix("/mcp")
    async with httpx2.AsyncClient(timeout=60) as http:
        call = asyncio.create_task(http.post(roles.url, **roles.work()))
        await roles.started()
        job = await roles.until_so(state=JobState.RUNNING)
        listen = modern_call("", method="subscriptions/listen", notifications={})
        listening = asyncio.create_task(http.post(roles.url, **listen))
        waiting = asyncio.create_task(http.get(f"{base}/v1/jobs/{job.id}?wait=60"))
        headers = {"accept": "text/event-stream"}
        streaming = asyncio.create_task(
            http.get(f"{base}/v1/jobs/{job.id}/events", headers=headers)
        )
        await asyncio.wait([listening, waiting, streaming], timeout=1.0)
        roles.ingress.send_signal(signal.SIGTERM)
        await until_answered(lambda: refused(base), seconds=20)
        assert last_message((await listening).text)["result"]["resultType"] == "complete"
        assert (await waiting).json()["state"] == "running"
        assert "event: change" in (await streaming).text
        refusal = await http.post(roles.url, **roles.work())
        assert (refusal.status_code, refusal.headers["retry-after"]) == (503, "1")
        assert not call.done()
        (roles.folder / "gate").touch()
        answer = (await call).json()["result"]
    assert answer["content"] == [{"type": "text", "text": "run 1"}]
    assert await asyncio.to_thread(roles.ingress.wait, 15) == 0


async def refused(base: str) -> bool:
    async with httpx2.AsyncClient() as http:
        response = await http.get(f"{base}/readyz")
        return response.status_code == 503 and "asked to stop" in response.text


async def test_asked_to_stop_it_gives_the_id_out(roles: Roles) -> None:
    async with httpx2.AsyncClient(timeout=60) as http:
        call = asyncio.create_task(http.post(roles.url, **roles.work()))
        await roles.started()
        roles.ingress.send_signal(signal.SIGTERM)
        answer = (await call).json()["result"]
    job = await roles.until_so(handed_off=True)
    assert answer["_meta"]["longhaul/job"]["id"] == job.id
    assert await asyncio.to_thread(roles.ingress.wait, 5) == 0
    (roles.folder / "gate").touch()
    await roles.until_so(state=JobState.COMPLETED)
