"""Private servers: started for a test, on free ports, in their own folder, and never left over.

`guardian.py` stands between: it ends the server when this process ends, however that happens.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, Self

from typing_extensions import override

from tests.support.guardian import Charge, Command
from tests.support.ports import free_port
from tests.support.waiting import wait_for

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
GUARDIAN = Path(__file__).with_name("guardian.py")


class NoServerError(Exception):
    """A server cannot be had here; the message says why."""


class PrivateServer(Protocol):
    """A server that a test may do anything to. Its address stays the same over restarts."""

    @property
    def url(self) -> str: ...
    def start(self) -> None:
        """Returns once it answers."""
        ...

    def stop(self) -> None:
        """A clean end; the data stays."""
        ...

    def kill(self) -> None:
        """The end that a crash makes, SIGKILL; the data stays."""
        ...

    def restart(self) -> None: ...
    def pause(self) -> None:
        """Hold it still: its connections stay open and silent."""
        ...

    def resume(self) -> None: ...
    def close(self) -> None:
        """End it, in whatever state, and remove its data."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...


class Private(ABC):
    """What is common to private servers: `with` starts them, and ends them for good."""

    @abstractmethod
    def start(self) -> None: ...
    @abstractmethod
    def stop(self) -> None: ...
    @abstractmethod
    def close(self) -> None: ...

    def restart(self) -> None:
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            undo.callback(self.close)
            self.start()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PrivateProcess(Private):
    """A private server from an installed program."""

    name: str

    def __init__(self, *, inside: Path | None = None) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"longhaul-{self.name}-", dir=inside))
        self._guardian: subprocess.Popen[bytes] | None = None
        self._pid = 0

    @abstractmethod
    def command(self) -> Command:
        """The server in the foreground; it writes its pid to `folder/pid`."""
        ...

    def companion(self) -> Command | None:
        """What must run beside it."""
        return None

    @abstractmethod
    def answers(self) -> bool:
        """Whether it would serve a client now."""
        ...

    @override
    def start(self) -> None:
        (self.folder / "pid").unlink(missing_ok=True)
        charge = Charge(server=self.command(), companion=self.companion(), folder=str(self.folder))
        with (self.folder / "log").open("ab") as log:
            self._guardian = subprocess.Popen(
                [sys.executable, str(GUARDIAN), json.dumps(charge)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_for(self._is_up, seconds=90)
        self._pid = int((self.folder / "pid").read_text())

    @override
    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    @override
    def close(self) -> None:
        if self._guardian is not None:
            self._guardian.communicate()  # closes the pipe, and the guardian ends the server
        shutil.rmtree(self.folder, ignore_errors=True)

    def _is_up(self) -> bool:
        assert self._guardian is not None
        if self._guardian.poll() is not None:
            words = (self.folder / "log").read_text()[-3000:]
            raise NoServerError(f"{self.name} ended before it answered:\n{words}")
        return (self.folder / "pid").exists() and self.answers()

    def _end(self, how: signal.Signals) -> None:
        assert self._guardian is not None
        os.kill(self._pid, how)
        self._guardian.wait(timeout=60)  # it ends with the server
        self._guardian.communicate()  # closes our end of its pipe
