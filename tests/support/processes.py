"""Processes of this machine, as a test may ask for them."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any


def _listed(columns: str) -> Iterator[list[str]]:
    command = ["ps", "-A", "-ww", "-o", columns]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in said.splitlines():
        state, *rest = line.split(maxsplit=columns.count(","))
        if not state.startswith("Z"):
            yield rest


def children_of(pid: int) -> list[int]:
    return [int(child) for child, parent in _listed("stat=,pid=,ppid=") if int(parent) == pid]


def mentioning(word: str) -> list[int]:
    """The processes whose command line has this word."""
    return [int(pid) for pid, *command in _listed("stat=,pid=,args=") if word in " ".join(command)]


def alive(*pids: int) -> list[int]:
    return [int(pid) for (pid,) in _listed("stat=,pid=") if int(pid) in pids]


def kill_all(process: "subprocess.Popen[Any]") -> None:
    """A process and its children at once: nobody is left that could clear up after another."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGSTOP)  # or it would begin to, when the first child dies
    for child in children_of(process.pid):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    process.kill()
    process.wait()
