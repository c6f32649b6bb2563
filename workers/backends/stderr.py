"""What backends say on stderr: kept in a bounded file per backend, the last lines at hand."""

import logging
from collections import deque
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from pathlib import Path

FILE_SIZE = 1024 * 1024  # bytes; one older file is kept beside it
LINES_KEPT = 20  # per replica, in memory
LINE_LENGTH = 2_000  # characters; the rest of a longer line is cut


def log_file(data: Path, backend: str) -> Path:
    """Where `longhaul backends logs` finds a backend's stderr."""
    return data / "logs" / f"{backend}.log"


class StderrFile:
    """One backend's file, shared by its replicas; made at the first line.

    A folder that cannot be written costs only that, as in `groups`: who has a URL writes nothing.
    """

    def __init__(self, path: Path) -> None:
        self._folder: Path | None = path.parent  # until it is there
        self._handler = RotatingFileHandler(
            path, maxBytes=FILE_SIZE, backupCount=1, encoding="utf-8", delay=True
        )

    def write(self, text: str) -> None:
        if self._folder is not None:
            with suppress(OSError):  # what is written then says so
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._folder = None
        self._handler.handle(logging.makeLogRecord({"msg": text}))

    def tail(self, lines: int) -> list[str]:
        """The newest lines of the file, those of earlier starts among them."""
        path = Path(self._handler.baseFilename)
        text = "".join(_text(each) for each in (path.with_name(f"{path.name}.1"), path))
        return text.splitlines()[-lines:]

    def close(self) -> None:
        self._handler.close()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


class Stderr:
    """The stderr of one replica, across its restarts."""

    def __init__(self, file: StderrFile) -> None:
        self._file = file
        self._rest = b""
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)

    @property
    def last(self) -> str | None:
        return self.lines[-1] if self.lines else None

    def feed(self, pid: int, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[:LINE_LENGTH]
        self._keep(pid, lines)

    def flush(self, pid: int) -> None:
        """The process is gone: what it said without a line's end is a line too."""
        rest, self._rest = self._rest, b""
        self._keep(pid, [rest])

    def _keep(self, pid: int, lines: list[bytes]) -> None:
        texts = [line[:LINE_LENGTH].decode("utf-8", "replace").rstrip() for line in lines]
        texts = [text for text in texts if text]
        if texts:
            self.lines.extend(texts)
            # Written together: a talkative backend must not hold the event loop up.
            self._file.write("\n".join(f"{pid} {text}" for text in texts))
