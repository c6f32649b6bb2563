"""A command on a terminal: what it shows there while it runs, and what it leaves behind."""

import os
import pty
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.waiting import wait_for


class Terminal:
    """Reads the screen all the time: a full one would stop the command."""

    def __init__(self, process: subprocess.Popen[str], screen: int) -> None:
        self._process = process
        self._screen = screen
        self._shown = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # the last process on the terminal has ended
            while piece := os.read(self._screen, 65_536):
                self._shown += piece.decode(errors="replace")

    def until_shown(self, text: str) -> None:
        wait_for(lambda: text in self._shown, seconds=30.0)

    def end(self) -> tuple[int, str]:
        """Its exit code and standard output."""
        out, _ = self._process.communicate(timeout=60.0)
        return self._process.returncode, out

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        os.close(self._screen)


@contextmanager
def on_a_terminal(
    command: Sequence[str], folder: Path, environment: dict[str, str]
) -> Iterator[Terminal]:
    """Standard error is a terminal, where commands show their progress; output is a pipe."""
    screen, stderr = pty.openpty()
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**environment, "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    ) as process:
        os.close(stderr)
        terminal = Terminal(process, screen)
        try:
            yield terminal
        finally:
            terminal.close()
