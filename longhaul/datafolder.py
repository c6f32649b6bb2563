"""The lock on the data folder: one router per folder, and how the CLI finds the one that runs.

Whoever holds the lock says in the same file where it listens. What the file says counts only while
it is locked, so a router that was killed leaves nothing behind that anybody believes.
"""

import fcntl
import os
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from common.errors import LonghaulError

FILE = "router.lock"
KEY_FILE = "secret.key"
_ASKS = 10  # a reader holds the lock for microseconds; a router holds it for good
_ASK_AGAIN = 0.02  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """A router that runs on this folder; without an address it is still starting."""

    address: str = ""
    key: str = field(default="", repr=False)  # the local API key


class DataFolderError(LonghaulError):
    """The folder cannot be this router's; the text says why."""


def secret_of(data: Path) -> str:
    """The folder's secret, made once by the router that holds the folder.

    Raises:
        DataFolderError: It cannot be read or written.
    """
    path = data / KEY_FILE
    try:
        if not path.exists():
            fresh = path.with_suffix(".new")
            descriptor = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32))
            fresh.rename(path)
        return path.read_text()
    except OSError as error:
        raise DataFolderError(f"{path} cannot be used: {error}") from error


class HeldLock:
    """This process is the folder's router until `release`, or until it dies."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def announce(self, address: str, key: str) -> None:
        """Tell whoever may read the folder where the router listens, and its local key."""
        content = orjson.dumps({"address": address, "key": key})
        os.pwrite(self._descriptor, content, 0)
        os.ftruncate(self._descriptor, len(content))

    def release(self) -> None:
        os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


def hold(data: Path) -> HeldLock:
    """Become the router of this folder.

    Raises:
        DataFolderError: Another router is, or the folder cannot be written.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(data / FILE, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise DataFolderError(f"the data folder {data} cannot be used: {error}") from error
    try:
        _lock(descriptor, data)
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return HeldLock(descriptor)


def running_router(data: Path) -> Announced | None:
    """The router that runs on this folder; None without one."""
    try:
        descriptor = os.open(data / FILE, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(descriptor)
    else:
        return None
    finally:
        os.close(descriptor)


def _lock(descriptor: int, data: Path) -> None:
    for _ in range(_ASKS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_ASK_AGAIN)
        except OSError as error:
            raise DataFolderError(f"the data folder {data} cannot be locked: {error}") from error
        else:
            return
    address = _read(descriptor).address or "an address it has not announced yet"
    raise DataFolderError(
        f"a router already runs on the data folder {data}, at {address}; "
        "stop it, or choose another folder with LONGHAUL_DATA"
    )


def _read(descriptor: int) -> Announced:
    try:
        return Announced(**orjson.loads(os.pread(descriptor, 65_536, 0)))
    except orjson.JSONDecodeError:  # not announced, or just being written
        return Announced()
