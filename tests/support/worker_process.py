"""A worker as its own process, to be killed or held still, with all that it started."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.config.model import Settings

LONGHAUL = (sys.executable, "-c", "from longhaul.main import main; main()")


class WorkerProcess:
    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def kill(self) -> None:
        """The end that nobody can prepare for."""
        self.signal(signal.SIGKILL)
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """To the worker and to what is in its process group; its backends have their own."""
        os.killpg(self._process.pid, number)


@contextmanager
def worker_process(settings: Settings, folder: Path) -> Iterator[WorkerProcess]:
    """`longhaul worker` for every queue of these settings; killed when the block ends."""
    folder.mkdir()
    configured = settings.model_dump(
        mode="json",
        exclude_defaults=True,
        include={"broker_url", "store_url", "namespace", "data", "tools", "queues"},
    )
    servers = {
        backend.name: {"command": backend.command, "args": backend.args}
        for backend in settings.backends
    }
    file = folder / "longhaul.yaml"
    file.write_text(json.dumps({**configured, "mcpServers": servers}))  # JSON is YAML
    kept = {name: text for name, text in os.environ.items() if "LONGHAUL" not in name}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*LONGHAUL, "worker", "--config", str(file)],
            cwd=folder,
            env=kept,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    worker = WorkerProcess(process)
    try:
        yield worker
    finally:
        if process.poll() is None:
            worker.kill()
