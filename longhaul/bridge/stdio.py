"""Standard input and output as lines, each behind a thread: neither can hold up the event loop.

Whatever is printed by mistake goes to standard error: standard output carries the protocol only.
"""

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import AsyncIterator, Iterator

LONGEST_LINE = 64 * 1024 * 1024  # bytes; the router's own limit is lower unless it was raised
READ_AHEAD = 16  # lines
_CHUNK = 65_536


class ClientGoneError(Exception):
    """Nobody reads standard output any more."""


class OverlongError(Exception):
    """A line longer than may be; the rest of it was passed over."""


_End = None
_Item = bytes | OverlongError | None


class Stdio:
    """`closed` is set when the client closed either side, or by whoever wants to end this."""

    def __init__(self, read_from: int, write_to: int) -> None:
        self.closed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._read_from, self._write_to = read_from, write_to
        self._lines: asyncio.Queue[_Item] = asyncio.Queue(READ_AHEAD)
        self._answers: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()
        for work in (self._read, self._write):
            threading.Thread(target=work, daemon=True).start()

    async def lines(self) -> AsyncIterator[bytes | OverlongError]:
        """Until the client closes its side; blank lines are passed over."""
        while (item := await self._lines.get()) is not _End:
            yield item
        self.closed.set()

    async def write(self, line: bytes) -> None:
        """Returns once the line is with the client, so a slow one is not flooded.

        Raises:
            ClientGoneError: It will never be.
        """
        if self.closed.is_set():
            raise ClientGoneError
        written = self._loop.create_future()
        self._answers.put((line + b"\n", written))
        await written

    # --- the two threads

    def _read(self) -> None:
        with contextlib.suppress(RuntimeError, asyncio.CancelledError):  # the loop has ended
            for item in split(self._chunks()):
                self._hand_over(item)
            self._hand_over(_End)

    def _chunks(self) -> Iterator[bytes]:
        with contextlib.suppress(OSError):
            while chunk := os.read(self._read_from, _CHUNK):
                yield chunk

    def _hand_over(self, item: _Item) -> None:
        """Waits while the loop has lines enough."""
        asyncio.run_coroutine_threadsafe(self._lines.put(item), self._loop).result()

    def _write(self) -> None:
        gone = False
        while True:
            line, written = self._answers.get()
            rest = memoryview(line)
            try:
                while rest and not gone:
                    rest = rest[os.write(self._write_to, rest) :]
            except OSError:
                gone = True
            try:
                self._loop.call_soon_threadsafe(self._written, written, gone)
            except RuntimeError:  # the loop has ended
                return

    def _written(self, written: asyncio.Future[None], gone: bool) -> None:
        if gone:
            self.closed.set()
        if written.done():
            return
        if gone:
            written.set_exception(ClientGoneError())
        else:
            written.set_result(None)


def split(chunks: Iterator[bytes], longest: int = LONGEST_LINE) -> Iterator[bytes | OverlongError]:
    """Lines without their ends; the last one counts without an end, too."""
    parts: list[bytes] = []
    size = 0
    for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            yield from _whole(parts, size, piece, longest)
            parts, size = [], 0
        size += len(rest)
        if size <= longest:
            parts.append(rest)
        else:
            parts.clear()
    yield from _whole(parts, size, b"", longest)


def _whole(
    parts: list[bytes], size: int, last: bytes, longest: int
) -> Iterator[bytes | OverlongError]:
    if size + len(last) > longest:
        yield OverlongError()
    elif line := b"".join([*parts, last]).strip():
        yield line


def protocol_output() -> int:
    """A file descriptor for standard output that only its holder knows."""
    kept = os.dup(1)
    os.dup2(2, 1)
    return kept
