"""The process groups of replicas, as their launchers recorded them, and how to end them all.

A record is trusted only as far as it can be checked: process ids are used again. The leader is
known by its start time; what it left behind when it is gone, by the token in its environment.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from workers.backends.launcher import MARKER, start_time

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    pid: int  # of the leader, and the group's own number
    started: str | None  # see launcher.start_time; None where the system does not tell
    token: str

    @classmethod
    def read(cls, record: Path) -> Self | None:
        """The group a launcher recorded; None when there is none or it cannot be read."""
        try:
            content = json.loads(record.read_text(encoding="utf-8"))
            return cls(pid=content["pid"], started=content["started"], token=content["token"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def led(self) -> bool:
        """Whether the leader itself still lives."""
        if self.started is not None:
            return start_time(self.pid) == self.started
        # No start time on this system (macOS): the best that can be checked.
        try:
            return os.getpgid(self.pid) == self.pid
        except ProcessLookupError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of the group that is certainly this replica's."""
        if self.led:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
            return
        for pid in self.left_behind():
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)

    def left_behind(self) -> Iterator[int]:
        """Processes of the group that carry this replica's token, whether or not it is led."""
        if not self.token or not _PROC.is_dir():
            return
        for entry in _PROC.iterdir():
            if entry.name.isdigit() and self._is_ours(entry):
                yield int(entry.name)

    def _is_ours(self, entry: Path) -> bool:
        marker = f"{MARKER}={self.token}".encode()
        try:
            if os.getpgid(int(entry.name)) != self.pid:
                return False
            return marker in (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            return False  # gone meanwhile, or another user's


def records_folder(data: Path, owner: str) -> Path:
    """Where the launchers of one owner (one worker process start) write their records."""
    return data / "replicas" / owner


def kill_groups(data: Path, owner: str) -> int:
    """Kill every recorded group of an owner that is gone, and forget the records; how many."""
    folder = records_folder(data, owner)
    killed = 0
    for record in sorted(folder.glob("*.json")):
        group = Group.read(record)
        if group is not None:
            group.signal(signal.SIGKILL)
            killed += 1
        record.unlink(missing_ok=True)
    with suppress(OSError):
        for draft in folder.glob("*.draft"):
            draft.unlink(missing_ok=True)
        folder.rmdir()
    return killed


def owners(data: Path) -> tuple[str, ...]:
    """Every owner that has a folder of records, living or dead."""
    with suppress(FileNotFoundError):
        return tuple(sorted(entry.name for entry in (data / "replicas").iterdir()))
    return ()
