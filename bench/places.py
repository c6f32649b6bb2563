"""What is started for one run: servers, peers and Longhaul, and where each is called."""

import asyncio
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.batches import BatchPlace
from bench.caller import Connection, answered, request
from bench.processes import pid_listening_on, process
from bench.report import Route
from bench.tasks import Server
from tests.support.peers import peer_python
from tests.support.ports import free_port
from tests.support.servers import new_rabbit, new_rabbit43, new_redis

HERE = Path(__file__).parent
CELERY_PROCESSES = 4  # of its worker; with 8 it was slower on two cores
PYTHON = sys.executable


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a route is called, and which processes work for it."""

    route: Route
    url: str
    tool: str
    pids: dict[str, int]  # by name


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlace:
    server: Server
    pids: dict[str, int]
    pushes: bool


class Stage:
    """Starts processes in a folder; the stack ends them."""

    def __init__(self, stack: ExitStack, folder: Path, rabbit_version: str) -> None:
        self._stack = stack
        self._folder = folder
        rabbit = new_rabbit43() if rabbit_version == "4.3" else new_rabbit()
        self._broker = stack.enter_context(rabbit).url
        self._store = stack.enter_context(new_redis()).url

    def places(self) -> list[Place]:
        """Longhaul is the last."""
        port = free_port()
        backend = f"http://127.0.0.1:{port}/mcp"
        direct = {"backend": self._start(PYTHON, str(HERE / "echo_backend.py"), str(port))}
        asyncio.run(answered(lambda: _one_call(backend, "echo")))
        proxy, proxied = self._proxy(backend)
        bare, bared = self._bare_hops(backend)
        ingress, routed = self._longhaul(backend)
        asyncio.run(answered(lambda: _one_call(bare, "echo")))
        asyncio.run(answered(lambda: _one_call(ingress, "echo__echo")))
        asyncio.run(answered(lambda: _one_call(proxy, "echo")))
        return [
            Place(route=Route.DIRECT, url=backend, tool="echo", pids=direct),
            Place(route=Route.PROXY, url=proxy, tool="echo", pids=direct | proxied),
            Place(route=Route.BARE, url=bare, tool="echo", pids=direct | bared),
            Place(route=Route.LONGHAUL, url=ingress, tool="echo__echo", pids=direct | routed),
        ]

    def tasks(self, longhaul: Place) -> list[TaskPlace]:
        """The peer, on the same Redis, and Longhaul."""
        port, file = free_port(), str(HERE / "fastmcp_tasks_server.py")
        peer = Server(url=f"http://127.0.0.1:{port}/mcp", tool="errand")
        python, store = str(peer_python("fastmcp")), {"ERRANDS_STORE": f"{self._store}/1"}
        pids = {
            "server": self._start(python, file, str(port), environment=store),
            "worker": self._start(
                python, "-m", "fastmcp_tasks.worker_cli", "worker", file, environment=store
            ),
            "store": pid_listening_on(self._store),
        }
        ours = Server(url=longhaul.url, tool="echo__errand")
        for server in (peer, ours):
            asyncio.run(answered(partial(_one_task, server)))
        return [
            TaskPlace(server=peer, pids=pids, pushes=False),
            TaskPlace(server=ours, pids=longhaul.pids, pushes=True),
        ]

    def batches(self, longhaul: Place, backend: str) -> list[BatchPlace]:
        """Celery, on the same servers, and Longhaul."""
        environment = {
            "ECHO_URL": backend,
            "BATCH_BROKER": self._broker,
            "BATCH_STORE": f"{self._store.rpartition('/')[0]}/2",  # a database of its own
            "PYTHONPATH": str(HERE),
        }
        python = str(peer_python("celery"))
        quiet = ("--loglevel", "ERROR", "--without-gossip", "--without-mingle")
        many = ("--concurrency", str(CELERY_PROCESSES))
        app = (python, "-m", "celery", "--app", "celery_app")
        worker = self._start(*app, "worker", *many, *quiet, environment=environment)
        direct = longhaul.pids["backend"]
        peer = BatchPlace(
            command=(python, str(HERE / "celery_batch.py")),
            options=(),
            environment=environment,
            pids={"backend": direct, "worker": worker}
            | {name: longhaul.pids[name] for name in ("broker", "store")},
        )
        ours = BatchPlace(
            command=(str(Path(PYTHON).with_name("longhaul")), "batch", longhaul.tool),
            options=("--new", "--out"),
            environment={"LONGHAUL_URL": longhaul.url.removesuffix("/mcp")},
            pids=longhaul.pids,
        )
        return [peer, ours]

    def _proxy(self, backend: str) -> tuple[str, dict[str, int]]:
        port = free_port()
        fastmcp = str(peer_python("fastmcp"))
        pid = self._start(fastmcp, str(HERE / "fastmcp_proxy.py"), backend, str(port))
        return f"http://127.0.0.1:{port}/mcp", {"proxy": pid}

    def _bare_hops(self, backend: str) -> tuple[str, dict[str, int]]:
        port = free_port()
        servers = self._broker, self._store
        bare = (PYTHON, "-m", "bench.bare_hops")
        return f"http://127.0.0.1:{port}/mcp", {
            "ingress": self._start(*bare, "ingress", str(port), *servers),
            "worker": self._start(*bare, "worker", backend, *servers),
            "broker": pid_listening_on(self._broker),
            "store": pid_listening_on(self._store),
        }

    def _longhaul(self, backend: str) -> tuple[str, dict[str, int]]:
        port = free_port()
        environment = {
            "LONGHAUL_BROKER_URL": self._broker,
            "LONGHAUL_STORE_URL": self._store,
            "LONGHAUL_BLOB_URL": f"file://{self._folder}/blobs",
            "LONGHAUL_QUEUE_TYPE": "classic",
            "LONGHAUL_DATA": str(self._folder / "data"),
            "LONGHAUL_CONFIG": str(self._config(backend)),
        }
        longhaul = str(Path(PYTHON).with_name("longhaul"))
        worker = self._start(longhaul, "worker", "--queue", "echo=64", environment=environment)
        ingress = self._start(longhaul, "ingress", "--port", str(port), environment=environment)
        return f"http://127.0.0.1:{port}/mcp", {
            "ingress": ingress,
            "worker": worker,
            "broker": pid_listening_on(self._broker),
            "store": pid_listening_on(self._store),
        }

    def _config(self, backend: str) -> Path:
        config = self._folder / "longhaul.yaml"
        config.write_text(
            "mcpServers:\n"
            f"  echo: {{url: '{backend}', concurrency: 512}}\n"
            "queues:\n  echo: {slots: 64}\n  parked: {slots: 1}\n"
            "tools:\n"
            "  'echo__hold': {queue: parked}\n"
            "  'echo__errand': {task: required}\n"
            "log_level: warning\n"
        )
        return config

    def _start(self, *command: str, environment: dict[str, str] | None = None) -> int:
        log = self._folder / "log"
        return self._stack.enter_context(process(*command, environment=environment, log=log)).pid


async def _one_call(url: str, tool: str) -> None:
    connection = await Connection.to(url)
    try:
        await connection.call(request(url, tool, {"text": "ping"}), b"ping")
    finally:
        connection.close()


async def _one_task(server: Server) -> None:
    connection = await Connection.to(server.url)
    try:
        created = await server.submit(connection)
        await server.end(connection, created["taskId"], 0.05)
    finally:
        connection.close()
