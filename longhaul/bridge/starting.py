"""A router in the background, for a bridge that found none.

It has a session of its own, so that it outlives the client that is behind the bridge.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from common.errors import LonghaulError

LOG = "router.log"  # in the data folder: what the router says
LARGEST_LOG = 4 * 1024 * 1024  # bytes; a larger one is put aside before the next start
_TOLD = 2_000  # bytes of the log that an error quotes


class NotStartedError(LonghaulError):
    """The router could not be started; the text says why."""


class StartedRouter:
    def __init__(self, data: Path, environ: Mapping[str, str], idle_exit: str) -> None:
        """Raises: NotStartedError."""
        self._log = data / LOG
        try:
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._put_aside()
            descriptor = os.open(self._log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        except OSError as error:
            raise NotStartedError(f"the data folder {data} cannot be used: {error}") from error
        with os.fdopen(descriptor, "ab") as log:
            self._said_from = self._log.stat().st_size
            # -P: a folder of the client's must not stand in for one of ours.
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                (
                    sys.executable,
                    "-P",
                    "-m",
                    "longhaul",
                    "up",
                    "--any-port",
                    "--idle-exit",
                    idle_exit,
                ),
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def last_words(self) -> str:
        """What it said, for an error."""
        with contextlib.suppress(OSError), self._log.open("rb") as log:
            log.seek(max(self._said_from, log.seek(0, os.SEEK_END) - _TOLD))
            return log.read().decode("utf-8", "replace").strip()
        return ""

    def _put_aside(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self._log.stat().st_size > LARGEST_LOG:
                self._log.replace(self._log.with_suffix(".log.1"))
