"""A callback outlives its ingress: killed while the receiver has it, it is sent again elsewhere."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import httpx2
import pytest
import yaml
from standardwebhooks import Webhook

from common.config.model import Settings
from common.jobs.callbacks import CallbackState
from common.runtime import Runtime, open_runtime
from tests.support.namespaces import Namespace
from tests.support.ports import free_port
from tests.support.receiver import SECRET, Receiver
from tests.support.roles import environment, offers, role
from tests.support.servers import Shared
from tests.support.system import gated
from tests.support.waiting import until_answered

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A worker, ingresses that a test starts and kills, and the store as others see it."""

    env: dict[str, str]
    folder: Path
    runtime: Runtime

    @contextmanager
    def ingress(self) -> Iterator[tuple[str, "Popen[bytes]"]]:
        port = free_port()
        with role("ingress", "--port", str(port), folder=self.folder, env=self.env) as process:
            yield f"http://127.0.0.1:{port}", process

    async def delivered(self, job: str) -> bool:
        head = await self.runtime.store.get(job)
        return head is not None and head.callback == CallbackState.DELIVERED


@pytest.fixture
async def deployment(
    tmp_path: Path, rabbit: Shared, redis_server: Shared, namespace: Namespace
) -> AsyncIterator[Deployment]:
    backend = gated()
    servers = {"b": {"command": backend.command, "args": list(backend.args)}}
    (tmp_path / "longhaul.yaml").write_text(yaml.safe_dump({"mcpServers": servers}))
    env = environment(
        broker_url=rabbit.url,
        store_url=redis_server.url,
        namespace=namespace,
        data=str(tmp_path / "data"),
        callback_secret=SECRET,
        callbacks__allow="127.0.0.0/8",
        callbacks__timeout="2s",
    )
    namespace.queues.add("b")
    settings = Settings(store_url=redis_server.url, namespace=namespace)
    with role("worker", folder=tmp_path, env=env):
        async with open_runtime(settings) as runtime:
            yield Deployment(env=env, folder=tmp_path, runtime=runtime)


async def submit(url: str, hooks: Receiver, **arguments: str) -> str:
    body = {"tool": "b__work", "arguments": arguments, "callback": {"url": hooks.url}}
    async with httpx2.AsyncClient(base_url=url, timeout=30) as http:
        response = await http.post("/v1/jobs", json=body)
    assert response.status_code in {200, 202}, response.text
    return str(response.json()["id"])


async def test_killed_with_the_message_on_its_way_another_one_sends_it(
    deployment: Deployment, hooks: Receiver
) -> None:
    hooks.answers("hang")
    with deployment.ingress() as (url, process):
        await until_answered(lambda: offers(f"{url}/mcp", "b__work"), seconds=40)
        job = await submit(url, hooks, log=str(deployment.folder / "log"))
        await hooks.until_came(1, seconds=30)
        process.kill()
        process.wait()
    hooks.answers()
    with deployment.ingress():
        await until_answered(lambda: deployment.delivered(job), seconds=60, every=0.2)
    first, *others = hooks.came
    assert others
    for came in others:
        Webhook(SECRET).verify(came.body, dict(came.headers))
        assert came.body == first.body
        assert came.headers["webhook-id"] == first.headers["webhook-id"]


async def test_a_job_that_ends_while_no_ingress_is_there_is_told_of(
    deployment: Deployment, hooks: Receiver
) -> None:
    log, gate = deployment.folder / "log", deployment.folder / "gate"
    with deployment.ingress() as (url, process):
        await until_answered(lambda: offers(f"{url}/mcp", "b__work"), seconds=40)
        job = await submit(url, hooks, log=str(log), gate=str(gate))
        process.kill()
        process.wait()
    gate.touch()

    async def owed() -> bool:
        head = await deployment.runtime.store.get(job)
        return head is not None and head.callback == CallbackState.PENDING

    await until_answered(owed, seconds=30, every=0.1)
    assert not hooks.came
    with deployment.ingress():
        await hooks.until_came(1, seconds=40)
        await until_answered(lambda: deployment.delivered(job), seconds=20, every=0.1)
    assert len(hooks.came) == 1
