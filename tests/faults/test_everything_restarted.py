"""A client submits and leaves, every process is killed, and its results are there afterwards."""

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import yaml

from tests.support.backends.serving import program
from tests.support.logbook import lines
from tests.support.ports import free_port
from tests.support.private import PrivateServer
from tests.support.roles import environment, offers, role
from tests.support.routers import LegacyClient, last_message
from tests.support.system import BACKENDS
from tests.support.tasks import EXTENSION, TaskClient
from tests.support.waiting import until, until_answered

pytestmark = pytest.mark.anyio

ANN = {"action": "accept", "content": {"name": "Ann"}}
DECLARED: dict[str, Any] = {"elicitation": {}, "extensions": {EXTENSION: {}}}
AT_ONCE = {"longhaul/wait": 0}


@pytest.fixture(scope="module")
def asking_port() -> Iterator[int]:
    """A backend of its own: what asks must take its state back."""
    port = free_port()
    with program("asking", port):
        yield port


class Deployment:
    """RabbitMQ, Redis, a worker and one ingress at a time, all of which can be killed."""

    def __init__(
        self, rabbit: PrivateServer, redis: PrivateServer, folder: Path, asking_port: int
    ) -> None:
        self._servers = (rabbit, redis)
        self._folder = folder
        self._env = environment(
            broker_url=rabbit.url,
            store_url=redis.url,
            data=str(folder / "data"),
            secret_key="the same",
        )
        gated = [str(BACKENDS / "gated.py")]
        servers = {
            "b": {"command": sys.executable, "args": gated, "concurrency": 2},
            "q": {"url": f"http://127.0.0.1:{asking_port}/mcp"},
        }
        tools = {"b__work": {"repeatable": True}}
        text = yaml.safe_dump({"mcpServers": servers, "tools": tools})
        (folder / "longhaul.yaml").write_text(text)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Until the block ends, with SIGKILL for both roles; the address of the ingress."""
        port = free_port()
        url = f"http://127.0.0.1:{port}/mcp"
        async with AsyncExitStack() as stack:
            for words in (("worker",), ("ingress", "--port", str(port))):
                stack.enter_context(role(*words, folder=self._folder, env=self._env))
            for tool in ("b__work", "q__greet"):
                await until_answered(partial(offers, url, tool), seconds=60, every=0.1)
            yield url

    async def restart_servers(self) -> None:
        for server in self._servers:
            await anyio.to_thread.run_sync(server.kill)
        for server in self._servers:
            await anyio.to_thread.run_sync(server.start)


async def test_a_client_that_left_finds_its_results_on_another_ingress(
    private_rabbit: PrivateServer, private_redis: PrivateServer, asking_port: int, tmp_path: Path
) -> None:
    log, gate = tmp_path / "log", tmp_path / "gate"
    deployment = Deployment(private_rabbit, private_redis, tmp_path, asking_port)

    def work(label: str) -> dict[str, Any]:
        return {"log": str(log), "gate": str(gate), "label": label}

    async with deployment.running() as url, httpx2.AsyncClient(timeout=30) as http:
        client = TaskClient(http, url, declared=DECLARED)
        task = (await client.call("b__work", work("task"), meta=AT_ONCE))["taskId"]
        asked = (await client.call("q__greet", {"log": str(log)}, meta=AT_ONCE))["taskId"]
        legacy = LegacyClient(http, url)
        await legacy.initialize()
        legacy.headers["x-longhaul-wait"] = "0"
        async with legacy.call("b__work", request_id=1, arguments=work("handed")) as answer:
            handed = last_message((await answer.aread()).decode())["result"]
        job = handed["_meta"]["longhaul/job"]["id"]
        queued = (await client.call("b__work", work("queued"), meta=AT_ONCE))["taskId"]
        await client.until(asked, "input_required")
        await until(lambda: {"task started", "handed started"} <= set(lines(log)), seconds=20)
    await deployment.restart_servers()
    gate.touch()
    async with deployment.running() as another, httpx2.AsyncClient(timeout=30) as http:
        assert another != url
        client = TaskClient(http, another, declared=DECLARED)
        (key,) = (await client.until(asked, "input_required"))["inputRequests"]
        await client.request("tasks/update", taskId=asked, inputResponses={key: ANN})
        for one, said in ((task, "run "), (queued, "run "), (asked, "hello Ann")):
            ended = await ended_task(client, one)
            assert ended["result"]["content"][0]["text"].startswith(said)
        waited = await client.call("longhaul_wait", {"ids": [job]})
        assert waited["content"][0]["text"].startswith("run ")


async def ended_task(client: TaskClient, task: str) -> dict[str, Any]:
    async def ended() -> dict[str, Any] | None:
        shown = await client.get(task)
        return shown if shown["status"] not in {"working", "input_required"} else None

    shown = await until_answered(ended, seconds=60, every=0.2)
    assert shown is not None
    return shown
