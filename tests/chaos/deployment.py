"""What is broken: two ingresses and three workers as processes of their own, on private servers."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port
from tests.support.private import PrivateServer
from tests.support.servers import new_rabbit, new_redis

BACKEND = Path(__file__).with_name("backend.py")
LONGHAUL = (sys.executable, "-c", "from longhaul.main import main; main()")
CHILD = "longhaul.supervised"  # in the command line of what does a worker's work
SLOTS = (11, 11, 10)
LAST_WORDS = 4000  # characters of a process's log that a report shows
CONFIGURED = {
    "drain": "6s",  # longer than a call of chaos takes
    "mcpServers": {
        "counting": {
            "command": sys.executable,
            "args": [str(BACKEND)],
            "replicas": 2,
            "concurrency": 8,
        }
    },
    "queues": {"counting": {"slots": 11}},
    "tools": {
        "counting__again": {
            "repeatable": True,
            "retry": {"attempts": 50, "first": "200ms", "max": "2s"},
        },
        "counting__once": {
            "repeatable": False,
            "retry": {"attempts": 50, "first": "200ms", "max": "2s"},
        },
    },
}


class Role:
    """One `longhaul` process, and where it is a parent, the one that it started to do the work."""

    def __init__(
        self, name: str, argv: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self._argv = argv
        self._folder = folder / name
        self._environment = dict(environment) | {"LONGHAUL_DATA": str(self._folder / "data")}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._argv,
                cwd=self._folder,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Of its last start; 0 before the first."""
        return self._process.pid if self._process else 0

    @property
    def ended(self) -> int | None:
        """How it ended; None while it runs."""
        return None if self._process is None else self._process.poll()

    def kill(self) -> None:
        """The end that nobody can prepare for, of all the role's own processes; no backend's."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def restart(self) -> None:
        """Asked to end, it does in its own time; started again at once."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.kill()
        self.start()

    def kill_the_child(self) -> None:
        """Only what does the work; its parent, where there is one, sees to the rest."""
        if child := self._child():
            os.kill(child, signal.SIGKILL)
        else:
            self.kill()
            self.start()

    def signal(self, number: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        child = self._child()
        os.kill(self._process.pid, number)
        if child:
            with suppress(ProcessLookupError):
                os.kill(child, number)

    def _child(self) -> int:
        """Its pid; 0 when there is none."""
        if self._process is None:
            return 0
        words = ["pgrep", "-P", str(self._process.pid), "-f", CHILD]
        found = subprocess.run(words, capture_output=True, text=True, check=False).stdout.split()
        return int(found[0]) if found else 0

    def last_words(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-LAST_WORDS:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    rabbit: PrivateServer
    redis: PrivateServer
    workers: Sequence[Role]
    ingresses: Sequence[Role]
    addresses: Sequence[str]  # of the ingresses
    folder: Path

    @property
    def roles(self) -> Sequence[Role]:
        return (*self.workers, *self.ingresses)


@contextmanager
def deployed(folder: Path, worker: Sequence[str] = LONGHAUL) -> Iterator[Deployment]:
    """All of it, started; and ended, whatever state it is in. `worker` is the workers' program."""
    with ExitStack() as stack:
        rabbit = stack.enter_context(new_rabbit())
        redis = stack.enter_context(new_redis())
        (folder / "longhaul.yaml").write_text(json.dumps(CONFIGURED))  # JSON is YAML
        kept = {name: text for name, text in os.environ.items() if "LONGHAUL" not in name}
        environment = kept | {
            "LONGHAUL_BROKER_URL": rabbit.url,
            "LONGHAUL_STORE_URL": redis.url,
            "LONGHAUL_CONFIG": str(folder / "longhaul.yaml"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        ports = [free_port() for _ in range(2)]
        workers = [
            Role(f"worker-{n}", (*worker, "worker", "-q", f"counting={slots}"), folder, environment)
            for n, slots in enumerate(SLOTS)
        ]
        ingresses = [
            Role(f"ingress-{n}", (*LONGHAUL, "ingress", "--port", str(port)), folder, environment)
            for n, port in enumerate(ports)
        ]
        for role in (*workers, *ingresses):
            stack.callback(role.kill)
            role.start()
        yield Deployment(
            rabbit=rabbit,
            redis=redis,
            workers=workers,
            ingresses=ingresses,
            addresses=[f"http://127.0.0.1:{port}" for port in ports],
            folder=folder,
        )
