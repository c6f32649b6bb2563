"""`longhaul worker`, a parent and its worker, to be killed or held still with what they started."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.config.model import Settings
from tests.support.processes import children_of, kill_all
from tests.support.waiting import wait_for

LONGHAUL = (sys.executable, "-c", "from longhaul.main import main; main()")


class WorkerProcess:
    def __init__(self, parent: "subprocess.Popen[bytes]", log: Path) -> None:
        self.parent = parent
        self.log = log

    def worker(self, *, but: int = 0) -> int:
        """The pid of the worker that the parent has running; of the next one after `but`."""

        def found() -> int | None:
            children = [child for child in children_of(self.parent.pid) if child != but]
            return children[0] if children else None

        pid = wait_for(found, seconds=60)
        assert pid is not None
        return pid

    def kill(self) -> int:
        """The end that no worker can prepare for; its pid. The parent lives."""
        worker = self.worker()
        os.kill(worker, signal.SIGKILL)
        return worker

    def kill_all(self) -> None:
        """The parent and its worker at once, as when their machine goes."""
        kill_all(self.parent)

    def signal(self, number: signal.Signals) -> None:
        """To the worker; its backends have process groups of their own."""
        os.kill(self.worker(), number)


@contextmanager
def worker_process(
    settings: Settings, folder: Path, *words: str, source: Path | None = None
) -> Iterator[WorkerProcess]:
    """`longhaul worker` for every queue of these settings; killed when the block ends.

    Out of the tree at `source`, when that is another one than ours.
    """
    folder.mkdir()
    configured = settings.model_dump(
        mode="json",
        exclude_defaults=True,
        include={"broker_url", "store_url", "namespace", "data", "tools", "queues", "drain"},
    )
    servers = {
        backend.name: backend.model_dump(mode="json", exclude_defaults=True, exclude={"name"})
        for backend in settings.backends
    }
    file = folder / "longhaul.yaml"
    file.write_text(json.dumps({**configured, "mcpServers": servers}))  # JSON is YAML
    kept = {name: text for name, text in os.environ.items() if "LONGHAUL" not in name}
    if source is not None:
        kept["PYTHONPATH"] = str(source)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*LONGHAUL, "worker", "--config", str(file), *words],
            cwd=folder,
            env=kept,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    worker = WorkerProcess(process, folder / "log")
    try:
        yield worker
    finally:
        worker.kill_all()
