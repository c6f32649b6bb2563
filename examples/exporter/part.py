"""A file while it is being written: locked, hidden, and able to go on from a mark that was made."""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self
from uuid import uuid4

_PIECE = 1024 * 1024
_DAY = 86_400.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """So much of this file is on the disk."""

    part: str  # the file's name
    rows: int
    bytes: int


class Part:
    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.rows = 0
        self.bytes = 0
        self._file = file
        self._digest = hashlib.sha256()

    @classmethod
    def begin(cls, folder: Path, name: str) -> Self:
        path = folder / f".{name}.{uuid4().hex[:8]}.part"
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        file = path.open("x+b")
        fcntl.flock(file, fcntl.LOCK_EX)
        return cls(path, file)

    @classmethod
    def resume(cls, folder: Path, name: str, mark: Mark) -> Self | None:
        """As it was at the mark; None when it is not there, or somebody still writes it."""
        if re.fullmatch(rf"\.{re.escape(name)}\.[0-9a-f]{{8}}\.part", mark.part) is None:
            return None
        path = folder / mark.part
        try:
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW), "r+b")
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part = cls(path, file)
            whole = part._read(mark)
        except OSError:
            whole = False
        if not whole:
            file.close()
            return None
        return part

    def _read(self, mark: Mark) -> bool:
        """Up to the mark, and cut off what is behind it; False: it does not reach so far."""
        while piece := self._file.read(min(_PIECE, mark.bytes - self.bytes)):
            self._digest.update(piece)
            self.bytes += len(piece)
        self._file.truncate(self.bytes)
        self._file.seek(self.bytes)
        self.rows = mark.rows
        return self.bytes == mark.bytes

    def write(self, data: bytes, rows: int) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.bytes += len(data)
        self.rows += rows

    def mark(self) -> Mark:
        """What is there now, safe on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return Mark(part=self.path.name, rows=self.rows, bytes=self.bytes)

    def finish(self, target: Path) -> str:
        """Give it its name, in one step; its SHA-256."""
        self.mark()
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            self.path.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            beside = target.with_name(self.path.name)  # another file system: copied first
            shutil.copyfile(self.path, beside)
            beside.replace(target)
            self.path.unlink()
        self._file.close()
        return self._digest.hexdigest()

    def close(self, *, delete: bool) -> None:
        self._file.close()
        if delete:
            self.path.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """What was cut off and never went on."""
    for each in folder.glob(".*.part"):
        with suppress(FileNotFoundError):
            if time.time() - each.stat().st_mtime > _DAY:
                each.unlink()
