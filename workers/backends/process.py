"""One backend process: started through the launcher in a group of its own, spoken to over pipes.

The event loop's own subprocess protocol is used, not its streams: bytes arrive as they come,
and the exit is seen although a grandchild may hold the pipes open.
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self, cast
from uuid import uuid4

from mcp.client.stdio import get_default_environment
from typing_extensions import override

from common.config.model import Backend
from workers.backends import launcher
from workers.backends.base import NotStarted
from workers.backends.stderr import Stderr

GRACE = 1.5  # seconds for each step of stopping: closed stdin, SIGTERM, SIGKILL
LAST_WORDS = 1.0  # seconds after the exit for what is still in the pipe
_STDIN, _STDOUT, _STDERR = 0, 1, 2


class Ears(Protocol):
    """Who hears of a process."""

    def feed(self, data: bytes) -> None:
        """It said something on stdout."""
        ...

    def deaf(self) -> None:
        """It takes no more requests; answers may still be in the pipe."""
        ...

    def gone(self) -> None:
        """Nothing more will be heard."""
        ...


class Child(asyncio.SubprocessProtocol):
    """A running backend process."""

    def __init__(self, record: Path, stderr: Stderr, ears: Ears) -> None:
        self._record = record
        self._stderr = stderr
        self._ears = ears
        self._exited = asyncio.Event()
        self._silent = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._transport: asyncio.SubprocessTransport | None = None
        self._gone = False
        self.pid = 0

    @classmethod
    async def start(cls, config: Backend, records: Path, stderr: Stderr, ears: Ears) -> Self:
        """Start the backend's command; the process may still fail to become the backend.

        Raises:
            OSError: Not even the launcher could be started, or its record has no place.
        """
        await asyncio.to_thread(records.mkdir, 0o700, parents=True, exist_ok=True)
        token = uuid4().hex
        child = cls(records / f"{token}.json", stderr, ears)
        await asyncio.get_running_loop().subprocess_exec(
            lambda: child,
            sys.executable,
            *("-I", "-S", launcher.__file__),  # isolated: neither its folder nor PYTHONPATH counts
            *(str(child._record), str(os.getpid()), config.cwd or ""),
            *(config.command or "", *config.args),
            env=get_default_environment() | config.env | {launcher.MARKER: token},
            start_new_session=True,
        )
        return child

    @property
    def exit_status(self) -> int | None:
        """As the system says it: negative for a signal; None while it runs."""
        return self._transport.get_returncode() if self._transport is not None else None

    # --- what the event loop tells us

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid()

    @override
    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == _STDOUT:
            self._ears.feed(data)
        else:
            self._stderr.feed(self.pid, data)

    @override
    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == _STDERR:
            self._stderr.flush(self.pid)
            self._silent.set()
        elif fd == _STDOUT:
            self._lost()
        else:
            self._lost_soon()

    @override
    def process_exited(self) -> None:
        self._exited.set()
        self._lost_soon()

    @override
    def pause_writing(self) -> None:
        self._flowing.clear()

    @override
    def resume_writing(self) -> None:
        self._flowing.set()

    def _lost_soon(self) -> None:
        self._ears.deaf()
        self._flowing.set()
        # The last answer may still be in the pipe, whose end says `gone`; but a grandchild may
        # hold the pipe open for ever.
        asyncio.get_running_loop().call_later(LAST_WORDS, self._lost)

    def _lost(self) -> None:
        self._flowing.set()
        if not self._gone:
            self._gone = True
            self._ears.gone()

    # --- what the link asks

    async def ready_to_write(self) -> None:
        """Wait until the pipe takes more."""
        await self._flowing.wait()

    @property
    def writable(self) -> bool:
        stdin = self._stdin
        return not (self._gone or self._exited.is_set() or stdin is None or stdin.is_closing())

    def write(self, data: bytes) -> None:
        """Hand bytes to the pipe; never blocks.

        Raises:
            NotStarted: The process is gone; nothing was written.
        """
        stdin = self._stdin
        if stdin is None or not self.writable:
            raise NotStarted("the backend's process is not running")
        stdin.write(data)

    @property
    def _stdin(self) -> asyncio.WriteTransport | None:
        if self._transport is None:
            return None
        return cast("asyncio.WriteTransport | None", self._transport.get_pipe_transport(_STDIN))

    # --- stopping

    async def stop(self) -> None:
        """Close stdin, then SIGTERM, then SIGKILL to the whole group; bounded, leaves nothing.

        Cancelling it only makes it quicker: no child process may be left.
        """
        stopping = asyncio.ensure_future(self._stop())
        hurried = False
        while not stopping.done():
            try:
                await asyncio.shield(stopping)
            except asyncio.CancelledError:
                hurried = True
                self._signal(signal.SIGKILL)
        if hurried:
            raise asyncio.CancelledError

    async def _stop(self) -> None:
        if (stdin := self._stdin) is not None:
            stdin.close()
        if not await _within(GRACE, self._exited):
            self._signal(signal.SIGTERM)
            await _within(GRACE, self._exited)
        # The process may have gone and left others of its group.
        self._signal(signal.SIGKILL)
        await _within(GRACE, self._exited)
        await _within(LAST_WORDS, self._silent)
        self._record.unlink(missing_ok=True)
        if self._transport is not None:
            with suppress(ProcessLookupError, PermissionError):
                self._transport.close()
        self._lost()

    def _signal(self, number: signal.Signals) -> None:
        # The number stays the group's while any member lives, and is not given out again so soon.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


async def _within(seconds: float, event: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
