"""A deployment to try a drill on: an embedded router of its own, in a folder that is removed."""

import json
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longhaul.client import Client
from longhaul.drill.faults import Harm, harm_of
from longhaul.drill.plan import Fault, Plan, Scenario
from longhaul.drill.processes import Role, free_port, probe_backend, wait_for_probes
from longhaul.target import Target

FORGOTTEN = "5m"  # a router whose drill was killed ends by itself
REPLICAS = 2
HARMLESS = Plan(
    starts=Path("starts"),
    seconds=0.5,
    scenarios=(
        Scenario(name="a backend is killed", fault=Fault.KILL_BACKEND),
        Scenario(name="a backend stalls for 5 s", fault=Fault.STALL_BACKEND, hold=5.0),
    ),
)


class PrivateRouter:
    """`longhaul up` as a process of its own, with the probes behind it."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "log"
        self._port = free_port()
        self.plan = HARMLESS.model_copy(update={"starts": folder / "starts"})
        configured = probe_backend(self.plan.starts, replicas=REPLICAS)
        (folder / "longhaul.yaml").write_text(json.dumps(configured))  # JSON is YAML
        words = ["up", "--port", str(self._port), "--idle-exit", FORGOTTEN]
        self.role = Role(folder, words, {"LONGHAUL_DATA": str(folder / "data")})

    @property
    def harms(self) -> list[Harm]:
        killed = Harm(name="the router is killed", make=self._kill_and_start, hold=0.0)
        return [killed, *(harm_of(each, self.plan, self.connect) for each in self.plan.scenarios)]

    def connect(self) -> Client:
        return Client(Target(url=f"http://127.0.0.1:{self._port}"))

    def wait(self) -> None:
        """Raises: UnreachableError: It does not come up."""
        with self.connect() as router:
            wait_for_probes(router, REPLICAS, self._log)

    def _kill_and_start(self) -> None:
        self.role.end(signal.SIGKILL)
        self.role.start()


@contextmanager
def private_router() -> Iterator[PrivateRouter]:
    """Up until the block ends; nothing of it stays. Raises: UnreachableError."""
    with tempfile.TemporaryDirectory(prefix="longhaul-drill-") as folder:
        router = PrivateRouter(Path(folder))
        router.role.start()
        try:
            router.wait()
            yield router
        finally:
            router.role.end(signal.SIGTERM)
