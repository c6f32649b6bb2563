"""What a batch goes through: an ingress and two workers as processes, on private servers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.chaos.deployment import BACKEND, LONGHAUL, Role
from tests.support.ports import free_port
from tests.support.private import PrivateServer
from tests.support.servers import new_rabbit, new_redis
from tests.support.waiting import wait_for

TOOL = "counting__again"
QUEUE = "counting"
WORKERS = 2
SLOTS = 16  # of each worker
CONFIGURED = {
    "drain": "6s",
    "mcpServers": {
        "counting": {"command": sys.executable, "args": [str(BACKEND)], "concurrency": SLOTS}
    },
    "tools": {TOOL: {"repeatable": True, "retry": {"attempts": 50, "first": "100ms", "max": "1s"}}},
    "log_level": "warning",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    rabbit: PrivateServer
    redis: PrivateServer
    workers: Sequence[Role]
    ingress: Role
    url: str
    folder: Path
    environment: Mapping[str, str]

    def command(self, *words: str) -> subprocess.Popen[str]:
        """`longhaul …`, as a person at this deployment types it."""
        log = (self.folder / "command.log").open("ab")
        with log:
            return subprocess.Popen(
                (*LONGHAUL, *words),
                cwd=self.folder,
                env={**self.environment, "LONGHAUL_URL": self.url},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    async def order(self, verb: str) -> None:
        """`pause` or `resume` its queue."""
        async with httpx2.AsyncClient(trust_env=False) as client:
            answer = await client.post(f"{self.url}/v1/queues/{QUEUE}/{verb}")
            answer.raise_for_status()

    async def waiting(self) -> int:
        """Jobs that wait in its queue."""
        async with httpx2.AsyncClient(trust_env=False) as client:
            queues = (await client.get(f"{self.url}/v1/queues")).json()["queues"]
            return sum(each["waiting"] for each in queues if each["name"] == QUEUE)

    def last_words(self) -> str:
        roles = (*self.workers, self.ingress)
        said = [f"--- {role.name}\n{role.last_words()}" for role in roles]
        command = (self.folder / "command.log").read_text(errors="replace")[-4000:]
        return "\n".join([*said, f"--- command\n{command}"])


@contextmanager
def deployed(folder: Path) -> Iterator[Deployment]:
    """All of it, with its tools; ended in whatever state it is."""
    with ExitStack() as stack:
        rabbit = stack.enter_context(new_rabbit())
        redis = stack.enter_context(new_redis())
        (folder / "longhaul.yaml").write_text(json.dumps(CONFIGURED))  # JSON is YAML
        port = free_port()
        kept = {name: text for name, text in os.environ.items() if "LONGHAUL" not in name}
        environment = kept | {
            "LONGHAUL_BROKER_URL": rabbit.url,
            "LONGHAUL_STORE_URL": redis.url,
            "LONGHAUL_BLOB_URL": f"file://{folder}/blobs",
            "LONGHAUL_CONFIG": str(folder / "longhaul.yaml"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        workers = [
            Role(
                f"worker-{n}", (*LONGHAUL, "worker", "-q", f"{QUEUE}={SLOTS}"), folder, environment
            )
            for n in range(WORKERS)
        ]
        serving = (*LONGHAUL, "ingress", "--port", str(port))
        ingress = Role("ingress", serving, folder, environment)
        for role in (*workers, ingress):
            stack.callback(role.kill)
            role.start()
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: has_tools(url), seconds=60, every=0.2)
        yield Deployment(
            rabbit=rabbit,
            redis=redis,
            workers=workers,
            ingress=ingress,
            url=url,
            folder=folder,
            environment=environment,
        )


def has_tools(url: str) -> bool:
    """Whether the ingress answers, and offers something."""
    try:
        return bool(httpx2.get(f"{url}/v1/tools", trust_env=False).json()["tools"])
    except (httpx2.HTTPError, ValueError, KeyError):
        return False
