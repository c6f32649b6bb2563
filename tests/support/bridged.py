"""A desk at which desktop clients sit: `longhaul stdio` behind official clients, and by hand."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from longhaul.bridge.starting import LOG
from longhaul.datafolder import running_router
from tests.support.desk import GATED, LONGHAUL, Desk
from tests.support.waiting import PATIENCE, until, wait_for

MODERN = "2026-07-28"
LEGACY = "2025-11-25"


@dataclass(frozen=True, kw_only=True)
class Seat:
    """An official client, and the bridge behind it."""

    client: Client
    log: Path  # what the bridge says

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = (json.loads(line) for line in self.log.read_text().splitlines())
        return [line for line in lines if line["event"] == name]

    @property
    def pid(self) -> int:
        return int(self.events("bridge.ready")[0]["pid"])


class BridgedDesk(Desk):
    def __init__(self, folder: Path, **more: Any) -> None:
        super().__init__(folder)
        self.configure({"b": {"command": sys.executable, "args": [str(GATED)]}}, **more)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def variables(self) -> dict[str, str]:
        return {**self.environment, "LONGHAUL_LISTEN__PORT": "0"}

    @asynccontextmanager
    async def seat(self, mode: str, name: str = "one", *words: str) -> AsyncIterator[Seat]:
        log = self.folder / f"{name}.bridge.log"
        server = StdioServerParameters(
            command=LONGHAUL[0],
            args=[*LONGHAUL[1:], "stdio", *words],
            env=self.variables,
            cwd=self.folder,
        )
        with log.open("w") as errors:
            async with Client(stdio_client(server, errlog=errors), mode=mode) as client:
                yield Seat(client=client, log=log)

    def arguments(self, gate: str | None = None, **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.work(gate=gate, **more))
        return found

    def noted(self, line: str) -> bool:
        return self.log.exists() and line in self.log.read_text().splitlines()

    def jobs(self) -> list[dict[str, Any]]:
        """As REST tells them, the newest first."""
        found: list[dict[str, Any]] = self.run("jobs", "ls", "--json").json["jobs"]
        return found

    async def until_state(self, state: str) -> dict[str, Any]:
        """The one job, once it is there."""
        await until(lambda: [each["state"] for each in self.jobs()] == [state], every=0.05)
        return self.jobs()[0]

    def router_pid(self) -> int:
        (worker,) = self.run("workers", "--json").json["workers"]
        return int(worker["pid"])

    def router_said(self, event: str) -> bool:
        """In the log of those that bridges have started."""
        return event in (self.data / LOG).read_text()

    def router_runs(self) -> bool:
        return running_router(self.data) is not None

    @contextmanager
    def left_alone(self) -> Iterator[None]:
        """What a bridge has started in the background is ended with the block."""
        try:
            yield
        finally:
            while self.router_runs():
                os.kill(self._background_pid(), signal.SIGKILL)
                wait_for(lambda: not self.router_runs())

    def _background_pid(self) -> int:
        """The router's own log is read: it may not serve, or never have."""
        lines = (self.data / LOG).read_text().splitlines()
        served = [line for line in lines if '"Started server process [' in line]
        return int(served[-1].partition("[")[2].partition("]")[0])


class RawBridge:
    """A client by hand: what official ones would not do can be done with it."""

    def __init__(self, process: asyncio.subprocess.Process, modern: bool) -> None:
        self.process = process
        self._modern = modern

    async def send(self, message: dict[str, Any] | bytes) -> None:
        assert self.process.stdin is not None
        line = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.process.stdin.write(line + b"\n")
        await self.process.stdin.drain()

    async def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            read: dict[str, Any] = json.loads(await self.process.stdout.readline())
        return read

    def request(self, request: int, method: str, **params: Any) -> dict[str, Any]:
        if self._modern:
            params["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": MODERN,
                "io.modelcontextprotocol/clientCapabilities": {},
                **params.get("_meta", {}),
            }
        return {"jsonrpc": "2.0", "id": request, "method": method, "params": params}

    async def ask(self, request: int, method: str, **params: Any) -> dict[str, Any]:
        """The answer; what is said before it is passed over."""
        await self.send(self.request(request, method, **params))
        while "method" in (message := await self.read()):
            continue
        assert message["id"] == request
        return message

    async def call(self, request: int, arguments: dict[str, Any]) -> None:
        """Without waiting for the answer."""
        await self.send(self.request(request, "tools/call", name="b__work", arguments=arguments))

    async def open(self) -> None:
        if self._modern:
            return
        info = {"name": "by-hand", "version": "0"}
        answer = await self.ask(
            0, "initialize", protocolVersion=LEGACY, capabilities={}, clientInfo=info
        )
        assert "result" in answer, answer
        await self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def close(self) -> int:
        """Its standard input ends; the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def raw_bridge(
    folder: Path, variables: dict[str, str], *words: str, modern: bool = True
) -> AsyncIterator[RawBridge]:
    process = await asyncio.create_subprocess_exec(
        *LONGHAUL,
        "stdio",
        *words,
        cwd=folder,
        env=variables,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=2**26,
    )
    try:
        bridge = RawBridge(process, modern)
        await bridge.open()
        yield bridge
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
