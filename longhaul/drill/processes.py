"""The processes of a private drill: this program itself, in a folder that is removed."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from common.clock import SystemClock
from longhaul.client import Client
from longhaul.exits import UnreachableError

LISTED_WITHIN = 60.0  # seconds
LOOK = 0.2
ENDS_WITHIN = 15.0  # seconds


class Role:
    """`longhaul WORDS`, with these settings and no others of Longhaul's."""

    def __init__(self, folder: Path, words: list[str], settings: Mapping[str, str]) -> None:
        self._folder = folder
        self._words = words
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        kept = {name: text for name, text in os.environ.items() if "LONGHAUL" not in name}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - this program itself
                [sys.executable, "-m", "longhaul", *self._words],
                cwd=self._folder,
                env=kept | dict(self._settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the drill, which ends it in its own way
            )

    def end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            try:
                self._process.wait(ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def probe_backend(starts: Path, *, replicas: int) -> dict[str, object]:
    """The configuration of a router whose one backend is the probe."""
    probe = {
        "command": sys.executable,
        "args": ["-m", "longhaul", "drill", "probe", str(starts)],
        "replicas": replicas,
        "concurrency": 2,
    }
    again = {"repeatable": True, "retry": {"first": "200ms"}}
    return {"mcpServers": {"drill": probe}, "tools": {"drill__again": again}}


def wait_for_probes(router: Client, replicas: int, log: Path) -> None:
    """Until so many processes of the probe take calls. Raises: UnreachableError: They do not."""
    clock = SystemClock()
    until = clock.monotonic() + LISTED_WITHIN
    while clock.monotonic() < until:
        try:
            if router.get("/v1/tools")["tools"] and _ready(router) >= replicas:
                return
        except UnreachableError:
            pass  # not yet
        clock.pause(LOOK)
    said = log.read_text(errors="replace")[-2000:]
    raise UnreachableError(f"the drill's own router did not come up:\n{said}")


def _ready(router: Client) -> int:
    found = router.get("/v1/backends")["backends"]
    return sum(replica["state"] == "ready" for each in found for replica in each["replicas"])
