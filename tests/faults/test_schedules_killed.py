"""Every process is killed between a submission for later and its time: it runs once, on time."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import yaml

from tests.support.logbook import started
from tests.support.ports import free_port
from tests.support.private import PrivateServer
from tests.support.roles import environment, offers, role
from tests.support.system import BACKENDS
from tests.support.waiting import until_answered

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

DELAY = 30.0  # seconds: all that is killed is up again by then
LATE = 1.0  # seconds at most


@asynccontextmanager
async def running(
    folder: Path, env: Mapping[str, str], *roles: tuple[str, ...]
) -> AsyncIterator[httpx2.AsyncClient]:
    """Until the block ends, with SIGKILL for all of them; the last one listens."""
    port = free_port()
    with ExitStack() as stack:
        for words in roles:
            listens = () if words == ("worker",) else ("--port", str(port))
            stack.enter_context(role(*words, *listens, folder=folder, env=env))
        url = f"http://127.0.0.1:{port}"
        await until_answered(partial(offers, f"{url}/mcp", "b__work"), seconds=60, every=0.1)
        async with httpx2.AsyncClient(base_url=url, timeout=30) as http:
            yield http


def configure(folder: Path) -> None:
    backend = {"command": sys.executable, "args": [str(BACKENDS / "gated.py")]}
    (folder / "longhaul.yaml").write_text(yaml.safe_dump({"mcpServers": {"b": backend}}))


async def submitted(http: httpx2.AsyncClient, log: Path, label: str, **when: Any) -> str:
    body = {"tool": "b__work", "arguments": {"log": str(log), "label": label}, **when}
    return str((await http.post("/v1/jobs", json=body)).raise_for_status().json()["id"])


async def check_on_time(http: httpx2.AsyncClient, job: str) -> None:
    assert (await http.get(f"/v1/jobs/{job}")).json()["state"] == "held"  # up before its time
    ended = (await http.get(f"/v1/jobs/{job}", params={"wait": 60})).json()
    assert ended["state"] == "completed"
    late = seconds(ended["started_at"]) - seconds(ended["run_at"])
    assert 0 <= late <= LATE


def seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


async def test_rabbitmq_redis_and_both_roles_are_killed(
    private_rabbit: PrivateServer, private_redis: PrivateServer, tmp_path: Path
) -> None:
    configure(tmp_path)
    log = tmp_path / "log"
    env = environment(
        broker_url=private_rabbit.url, store_url=private_redis.url, data=str(tmp_path / "data")
    )
    roles = (("worker",), ("ingress",))
    async with running(tmp_path, env, *roles) as http:
        job = await submitted(http, log, "later", delay=DELAY)
    for server in (private_rabbit, private_redis):
        await anyio.to_thread.run_sync(server.kill)
    for server in (private_rabbit, private_redis):
        await anyio.to_thread.run_sync(server.start)
    async with running(tmp_path, env, *roles) as http:
        await check_on_time(http, job)
    assert started(log) == ["later"]


async def test_the_one_process_of_embedded_mode_is_killed(tmp_path: Path) -> None:
    configure(tmp_path)
    log, env = tmp_path / "log", environment(data=str(tmp_path / "data"))
    async with running(tmp_path, env, ("up",)) as http:
        job = await submitted(http, log, "later", delay=DELAY / 2)
        passed = await submitted(http, log, "passed", delay=1)
    async with running(tmp_path, env, ("up",)) as http:
        await check_on_time(http, job)
        shown = (await http.get(f"/v1/jobs/{passed}", params={"wait": 30})).json()
        assert shown["state"] == "completed"
    assert sorted(started(log)) == ["later", "passed"]
