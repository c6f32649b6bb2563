"""Other people's servers, unmodified: of the SDK's first generation, and a published one."""

import asyncio
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from common.config.model import Backend, Transport
from tests.support.backends.pools import HERE, Heard, pooled
from tests.support.backends.serving import answers
from tests.support.peers import peer_python
from tests.support.ports import free_port
from tests.support.waiting import until, wait_for
from workers.backends.base import NotStarted

pytestmark = pytest.mark.anyio

FIRST = str(HERE / "mcp1_server.py")


@contextmanager
def running(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_for(lambda: answers(port), seconds=20)
            yield process
        finally:
            process.send_signal(signal.SIGKILL)


async def test_the_first_generation_over_stdio(tmp_path: Path) -> None:
    command = str(peer_python("mcp1"))
    config = Backend(name="fixture", command=command, args=(FIRST, "stdio"))
    heard = Heard()
    async with pooled(config, tmp_path) as backend:
        assert (await backend.listing()).protocol_version == "2025-11-25"
        await backend.call("steps", heard, count=3)
        assert heard.values == [1.0, 2.0, 3.0]
        assert heard.checkpoints == [[1], [2], [3]]
        assert heard.lines == ["log 1", "log 2", "log 3"]
        result = await backend.call("big", size=3_000_000)
        assert len(result["content"][0]["text"]) == 3_000_000
        hanging = asyncio.create_task(backend.call("hang"))
        await until(lambda: "hanging" in backend.stderr)
        hanging.cancel()
        await until(lambda: "let go" in backend.stderr)


@pytest.mark.parametrize(
    ("transport", "server", "path"), [("http", "streamable-http", "/mcp"), ("sse", "sse", "/sse")]
)
async def test_the_first_generation_over_http_and_started_again(
    tmp_path: Path, transport: Transport, server: str, path: str
) -> None:
    port = free_port()
    command = [str(peer_python("mcp1")), FIRST, server, str(port)]
    config = Backend(name="it", transport=transport, urls=(f"http://127.0.0.1:{port}{path}",))
    heard = Heard()
    with running(command, port) as first:
        async with pooled(config, tmp_path) as backend:
            assert (await backend.listing()).protocol_version == "2025-11-25"
            await backend.call("steps", heard, count=3)
            assert heard.values == [1.0, 2.0, 3.0]
            assert heard.checkpoints == [[1], [2], [3]]
            assert heard.lines == ["log 1", "log 2", "log 3"]
            result = await backend.call("big", size=3_000_000)
            assert len(result["content"][0]["text"]) == 3_000_000
            first.kill()
            first.wait()
            with running(command, port):
                # Whoever finds out first that the session is lost, nothing was run, and the next
                # call works.
                for _ in range(2):
                    with suppress(NotStarted):
                        await backend.call("steps", heard, count=1)
                assert (await backend.call("steps", heard, count=1))["content"]


async def test_a_published_server(tmp_path: Path) -> None:
    command = str(peer_python("time"))
    args = ("-m", "mcp_server_time", "--local-timezone", "UTC")
    async with pooled(Backend(name="time", command=command, args=args), tmp_path) as backend:
        assert (await backend.listing()).protocol_version == "2026-07-28"
        result = await backend.call("get_current_time", timezone="UTC")
        assert "UTC" in result["content"][0]["text"]
