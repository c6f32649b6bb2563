"""A router, started as a user would, in front of published servers over every transport."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.conformance.run import running
from tests.support.backends.serving import answers
from tests.support.peers import ROOT, node, npm_bin, peer_python
from tests.support.ports import free_port
from tests.support.waiting import wait_for

READY_SECONDS = 60
OVER = ("stdio", "http", "sse")  # server-everything is there over each


LIBRARIES = (
    "official-legacy",
    "official-auto",
    "first-generation",
    "fastmcp",
    "typescript-legacy",
    "typescript-auto",
)
INSPECTORS = ("inspector-legacy", "inspector-modern")
HASTY = "hasty-"  # before the name of one whom the router keeps waiting only for a moment
OPERATOR = "operator"
CALLERS = (*LIBRARIES, *(f"{HASTY}{name}" for name in LIBRARIES), *INSPECTORS, OPERATOR)


@dataclass(frozen=True, kw_only=True)
class World:
    base: str
    folder: Path
    direct: str  # server-everything over HTTP, without the router

    @property
    def mcp(self) -> str:
        return f"{self.base}/mcp"

    @property
    def files(self) -> Path:
        return self.folder / "files"

    @property
    def repository(self) -> Path:
        return self.folder / "repository"

    def key(self, caller: str) -> str:
        return _key(caller)

    def rest(self, path: str) -> Any:
        headers = {"X-API-Key": self.key(OPERATOR)}
        return (
            httpx2.get(f"{self.base}{path}", headers=headers, timeout=60).raise_for_status().json()
        )

    def jobs_of(self, caller: str, **wanted: str) -> list[dict[str, Any]]:
        """The newest first."""
        jobs = self.rest("/v1/jobs?limit=500")["jobs"]
        return [job for job in jobs if {**job, "caller": caller, **wanted} == job]

    def has_tools_of(self, backends: set[str]) -> bool:
        try:
            tools = self.rest("/v1/tools")["tools"]
        except httpx2.HTTPError:
            return False  # not listening yet
        return {tool["name"].partition("__")[0] for tool in tools} >= backends


@contextmanager
def published(folder: Path) -> Iterator[World]:
    """In front of all of them."""
    ports = {"streamableHttp": free_port(), "sse": free_port()}
    with ExitStack() as servers:
        for transport, port in ports.items():
            log = folder / f"everything-{transport}.log"
            env = {**os.environ, "PORT": str(port)}
            servers.enter_context(running([*_everything(), transport], log, env))
        wait_for(lambda: all(answers(port) for port in ports.values()), seconds=READY_SECONDS)
        http, sse = ports.values()
        direct = f"http://127.0.0.1:{http}/mcp"
        backends = {
            **_over_stdio(folder),
            "http": {"url": direct},
            "sse": {"url": f"http://127.0.0.1:{sse}/sse", "transport": "sse"},
        }
        yield servers.enter_context(_world(folder, backends, direct))


@contextmanager
def small(folder: Path) -> Iterator[World]:
    """In front of server-everything over stdio, and nothing else."""
    command, *args = [*_everything(), "stdio"]
    with _world(folder, {"stdio": {"command": command, "args": args}}) as world:
        yield world


@contextmanager
def _world(folder: Path, backends: dict[str, Any], direct: str = "") -> Iterator[World]:
    with _router(folder, backends) as base:
        world = World(base=base, folder=folder, direct=direct)
        wait_for(lambda: world.has_tools_of(set(backends)), seconds=READY_SECONDS, every=0.2)
        yield world


def _everything() -> list[str]:
    return [str(node()), str(npm_bin("mcp-server-everything"))]


def _over_stdio(folder: Path) -> dict[str, Any]:
    """Those that the router starts, and what they work on."""
    files, repository = folder / "files", folder / "repository"
    files.mkdir()
    (files / "poem.txt").write_text("a long haul\n")
    subprocess.run(["git", "init", "--quiet", repository], check=True)
    (repository / "new.txt").write_text("new\n")
    command, *args = [*_everything(), "stdio"]
    return {
        "stdio": {"command": command, "args": args, "concurrency": 16},
        "asking": {"command": command, "args": args, "interactive": True},
        "files": {
            "command": str(node()),
            "args": [str(npm_bin("mcp-server-filesystem")), str(files)],
        },
        "fastmcp": {
            "command": str(peer_python("fastmcp")),
            "args": ["-m", "tests.interop.peers.fastmcp_server"],
            "cwd": str(ROOT),
        },
        "git": {
            "command": str(peer_python("git")),
            "args": ["-m", "mcp_server_git", "--repository", str(repository)],
        },
        "time": {
            "command": str(peer_python("time")),
            "args": ["-m", "mcp_server_time", "--local-timezone", "UTC"],
        },
        "exporter": {
            "command": sys.executable,
            "args": ["-m", "examples.exporter", "--output", str(folder / "exports")],
            "cwd": str(ROOT),
        },
    }


def _key(caller: str) -> str:
    return f"made-up-{caller}"


@contextmanager
def _router(folder: Path, backends: dict[str, Any]) -> Iterator[str]:
    """Its waits are the defaults, except for the hasty ones and for those who leave."""
    config = folder / "longhaul.yaml"
    more = {
        "data": str(folder / "data"),
        "answering": {"abandon_after": "1s"},
        "clients": {f"{HASTY}*": {"call_wait": "500ms"}},
    }
    config.write_text(json.dumps({"mcpServers": backends, **more}))  # JSON is YAML
    port = free_port()
    longhaul = str(Path(sys.executable).with_name("longhaul"))
    command = [longhaul, "up", "--config", str(config), "--port", str(port)]
    env = {name: it for name, it in os.environ.items() if not name.startswith("LONGHAUL_")}
    env["LONGHAUL_API_KEY"] = ",".join(f"{caller}={_key(caller)}" for caller in CALLERS)
    with running(command, folder / "longhaul.log", env):
        yield f"http://127.0.0.1:{port}"
