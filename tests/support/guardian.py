"""Runs a server for a test run and ends with whichever of the two ends first.

Started by `tests/support/private.py` with a pipe as its standard input, in a session of its own: a
Ctrl-C in the tests does not reach the server, and a test run that is killed cannot leave it behind,
because its end of the pipe closes with it. On every system, unlike a parent-death signal.

usage: guardian.py '{"server": {"argv": [...], "env": {...}}, "companion": ..., "folder": "..."}'
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import TypedDict


class Command(TypedDict):
    argv: list[str]
    env: dict[str, str]


class Charge(TypedDict):
    server: Command
    companion: Command | None  # started first, ended last
    folder: str  # removed when the pipe closes; a server that ended by itself keeps its data


def guard(charge: Charge) -> None:
    companion = _start(charge["companion"]) if charge["companion"] else None
    server = _start(charge["server"])
    left = threading.Event()

    def watch_the_pipe() -> None:
        while os.read(0, 1024):  # not sys.stdin: its lock would outlast us at the end
            pass
        left.set()
        _end(server)

    threading.Thread(target=watch_the_pipe, daemon=True).start()
    server.wait()
    _end(server)  # what it may have left in its group
    if companion:
        _end(companion)
        companion.wait()
    if left.is_set():
        shutil.rmtree(charge["folder"], ignore_errors=True)


def _start(command: Command) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command["argv"], env=command["env"], stdin=subprocess.DEVNULL, start_new_session=True
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the latter too
        os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    guard(json.loads(sys.argv[1]))
