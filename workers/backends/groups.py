"""The process groups of replicas, as their launchers recorded them, and how to end them all.

A record is trusted only as far as it can be checked: process ids are used again. The leader is
known by its start time; what it left behind when it is gone, by the token in its environment.

Each worker keeps a lock in its folder of records, which the kernel takes from it when it dies: who
gets the lock knows that the owner is gone, in whatever container it ran.
"""

import fcntl
import json
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog

from workers.backends.launcher import MARKER, start_time

log = structlog.get_logger(__name__)

_PROC = Path("/proc")
_LOCK = "lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    pid: int  # of the leader, and the group's own number
    started: str | None  # see launcher.start_time; None where it could not be told
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
        return self.started is not None and start_time(self.pid) == self.started

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to every process of the group, if it is certainly this replica's."""
        # The number is not given to another group while a single member lives: one proves it.
        if self.led or any(True for _ in self.left_behind()):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

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


@contextmanager
def owner_lives(data: Path, owner: str) -> Iterator[None]:
    """While the block runs nobody takes this owner for dead; if it dies, `dead_owners` has it.

    A folder that cannot be written costs only that: backends behind URLs need none.
    """
    try:
        descriptor = _locked(records_folder(data, owner))
    except OSError as error:
        log.warning("replicas.unrecorded", data=str(data), error=str(error))
        yield
        return
    try:
        yield
        # What could not be ended is left to whoever comes after us.
        if not any(records_folder(data, owner).glob("*.json")):
            forget(data, owner)
    finally:
        os.close(descriptor)


def _locked(folder: Path) -> int:
    # Under another name until it is locked: nobody may come between the two.
    draft = folder.with_name(f".{folder.name}")
    draft.mkdir(parents=True, mode=0o700)
    descriptor = os.open(draft / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        draft.rename(folder)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def dead_owners(data: Path) -> tuple[str, ...]:
    """Every owner that has left records and is certainly gone."""
    with suppress(OSError):  # none is there, or none that we may read
        folders = sorted((data / "replicas").iterdir())
        return tuple(each.name for each in folders if each.name[0] != "." and _is_dead(each))
    return ()


def _is_dead(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return True  # the lock is there before the folder is
    except OSError:
        return False  # another user's
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


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
    return killed


def forget(data: Path, owner: str) -> None:
    """Nothing of this owner is left to look after."""
    shutil.rmtree(records_folder(data, owner), ignore_errors=True)
