"""A deployment to try a drill on: an ingress and two workers on servers that are there already.

One worker reaches broker and store by links that the drill cuts. All is in a namespace of its own,
which is removed, and so nobody else on the servers is touched.
"""

import asyncio
import json
import secrets
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from common.brokers.base import BrokerError
from common.brokers.rabbitmq.remove import remove_namespace as remove_from_broker
from common.errors import StoreUnreachableError
from common.store.redis.remove import remove_namespace as remove_from_store
from longhaul.client import Client
from longhaul.drill.faults import Harm, harm_of
from longhaul.drill.link import Link
from longhaul.drill.plan import Fault, Plan, Scenario
from longhaul.drill.processes import Role, free_port, probe_backend, wait_for_probes
from longhaul.screen.output import warn
from longhaul.target import Target

REPLICAS = 2  # on each worker
WORKERS = 2
BROKER_AWAY = 8.0  # seconds
STORE_AWAY = 20.0  # seconds; its lease ends meanwhile
HARMLESS = Plan(
    starts=Path("starts"),
    scenarios=(
        Scenario(name="a worker is killed", fault=Fault.KILL_WORKER),
        Scenario(name="a backend is killed", fault=Fault.KILL_BACKEND),
    ),
)


class OnServers:
    def __init__(self, folder: Path, broker_url: str, store_url: str, namespace: str) -> None:
        self._log = folder / "log"
        self._port = free_port()
        self.plan = HARMLESS.model_copy(update={"starts": folder / "starts"})
        configured = probe_backend(self.plan.starts, replicas=REPLICAS)
        (folder / "longhaul.yaml").write_text(json.dumps(configured))  # JSON is YAML
        self.to_broker, self.to_store = Link(broker_url), Link(store_url)
        self._servers = {"LONGHAUL_BROKER_URL": broker_url, "LONGHAUL_STORE_URL": store_url}
        self._folder = folder
        self.namespace = namespace

    @property
    def harms(self) -> list[Harm]:
        broker, store = self.to_broker, self.to_store
        cut = "a worker is cut off from"
        return [
            *(harm_of(each, self.plan, self.connect) for each in self.plan.scenarios),
            _cutting(f"{cut} the broker for {BROKER_AWAY:g} s", BROKER_AWAY, broker),
            _cutting(f"{cut} the store for {STORE_AWAY:g} s", STORE_AWAY, store),
            _cutting(f"{cut} both for {STORE_AWAY:g} s", STORE_AWAY, broker, store),
        ]

    def connect(self) -> Client:
        return Client(Target(url=f"http://127.0.0.1:{self._port}"))

    def roles(self) -> Iterator[Role]:
        """The links are there."""
        linked = {
            "LONGHAUL_BROKER_URL": self.to_broker.url,
            "LONGHAUL_STORE_URL": self.to_store.url,
        }
        face = ["ingress", "--port", str(self._port)]
        yield self._role("ingress", face, self._servers)
        yield self._role("worker-1", ["worker"], linked)
        yield self._role("worker-2", ["worker"], self._servers)

    def wait(self) -> None:
        """Raises: UnreachableError: It does not come up."""
        with self.connect() as router:
            wait_for_probes(router, WORKERS * REPLICAS, self._log)

    def _role(self, name: str, words: list[str], servers: dict[str, str]) -> Role:
        own = {"LONGHAUL_NAMESPACE": self.namespace, "LONGHAUL_DATA": str(self._folder / name)}
        return Role(self._folder, words, servers | own)


def _cutting(name: str, hold: float, *links: Link) -> Harm:
    def make() -> Callable[[], None]:
        for link in links:
            link.cut()
        return partial(_mend, links)

    return Harm(name=name, make=make, hold=hold)


def _mend(links: tuple[Link, ...]) -> None:
    for link in links:
        link.mend()


@contextmanager
def on_servers(broker_url: str, store_url: str) -> Iterator[OnServers]:
    """Up until the block ends; nothing of it stays.

    Raises:
        UsageError: No link can carry such an address.
        UnreachableError: It does not come up.
    """
    namespace = f"drill-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="longhaul-drill-") as folder, ExitStack() as stack:
        deployment = OnServers(Path(folder), broker_url, store_url, namespace)
        stack.callback(_remove, broker_url, store_url, namespace)
        stack.enter_context(deployment.to_broker)
        stack.enter_context(deployment.to_store)
        for role in deployment.roles():
            role.start()
            stack.callback(role.end, signal.SIGTERM)
        deployment.wait()
        yield deployment


def _remove(broker_url: str, store_url: str, namespace: str) -> None:
    async def removed() -> None:
        await remove_from_broker(broker_url, namespace, ["drill"])
        await remove_from_store(store_url, namespace)

    try:
        asyncio.run(removed())
    except (BrokerError, StoreUnreachableError) as error:
        warn(f"the namespace {namespace} is left on the servers: {error}")
