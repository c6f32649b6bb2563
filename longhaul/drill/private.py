"""A deployment to try a drill on: an embedded router of its own, in a folder that is removed."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.clock import SystemClock
from longhaul.client import Client
from longhaul.drill.faults import Harm, harm_of
from longhaul.drill.plan import Fault, Plan, Scenario
from longhaul.exits import UnreachableError
from longhaul.target import Target

LISTED_WITHIN = 60.0  # seconds
LOOK = 0.2
ENDS_WITHIN = 15.0  # seconds
FORGOTTEN = "5m"  # a router whose drill was killed ends by itself
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
        self._folder = folder
        self._clock = SystemClock()
        self._process: subprocess.Popen[bytes] | None = None
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = int(free.getsockname()[1])
        self.plan = HARMLESS.model_copy(update={"starts": folder / "starts"})
        probe = {
            "command": sys.executable,
            "args": ["-m", "longhaul", "drill", "probe", str(self.plan.starts)],
            "replicas": 2,
            "concurrency": 2,
        }
        again = {"repeatable": True, "retry": {"first": "200ms"}}
        configured = {"mcpServers": {"drill": probe}, "tools": {"drill__again": again}}
        (folder / "longhaul.yaml").write_text(json.dumps(configured))  # JSON is YAML

    @property
    def harms(self) -> list[Harm]:
        killed = Harm(name="the router is killed", make=self._kill_and_start, hold=0.0)
        return [killed, *(harm_of(each, self.plan, self.connect) for each in self.plan.scenarios)]

    def connect(self) -> Client:
        return Client(Target(url=f"http://127.0.0.1:{self._port}"))

    def start(self) -> None:
        kept = {name: text for name, text in os.environ.items() if "LONGHAUL" not in name}
        words = [sys.executable, "-m", "longhaul", "up"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this program itself
                [*words, "--port", str(self._port), "--idle-exit", FORGOTTEN],
                cwd=self._folder,
                env=kept | {"LONGHAUL_DATA": str(self._folder / "data")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the drill, which ends it in its own way
            )

    def wait(self) -> None:
        """Raises: UnreachableError: It does not come up."""
        until = self._clock.monotonic() + LISTED_WITHIN
        while self._clock.monotonic() < until:
            try:
                with self.connect() as router:
                    if router.get("/v1/tools")["tools"]:
                        return
            except UnreachableError:
                pass  # not yet
            self._clock.pause(LOOK)
        said = (self._folder / "log").read_text(errors="replace")[-2000:]
        raise UnreachableError(f"the drill's own router did not come up:\n{said}")

    def end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _kill_and_start(self) -> None:
        self.end(signal.SIGKILL)
        self.start()


@contextmanager
def private_router() -> Iterator[PrivateRouter]:
    """Up until the block ends; nothing of it stays. Raises: UnreachableError."""
    with tempfile.TemporaryDirectory(prefix="longhaul-drill-") as folder:
        router = PrivateRouter(Path(folder))
        router.start()
        try:
            router.wait()
            yield router
        finally:
            router.end(signal.SIGTERM)
