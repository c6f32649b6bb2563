"""The wire to a replica that is a child process: one JSON-RPC message per line."""

from workers.backends import jsonrpc
from workers.backends.base import NotStarted
from workers.backends.duplex import DuplexLink
from workers.backends.process import Child

ENDED = "the backend's process ended"


class Pipes:
    """Between a process and its link: lines out of pieces, and what becomes of the process."""

    def __init__(self, link: DuplexLink) -> None:
        self._link = link
        self._child: Child | None = None
        self._pieces: list[bytes] = []
        self._size = 0

    def attach(self, child: Child) -> None:
        self._child = child

    async def send(self, data: bytes) -> None:
        if self._child is None:
            raise NotStarted(ENDED)
        await self._child.ready_to_write()
        self._child.write(data + b"\n")

    def say(self, data: bytes) -> None:
        if self._child is not None and self._child.writable:
            self._child.write(data + b"\n")

    def feed(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._pieces.append(line)
            whole = b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
            self._link.heard(whole)
        if rest:
            self._pieces.append(rest)
            self._size += len(rest)
        if self._size > jsonrpc.MAX_MESSAGE:
            self._pieces.clear()
            self._size = 0
            self._link.lose(f"it sent a message of more than {jsonrpc.MAX_MESSAGE} bytes")

    def deaf(self) -> None:
        self._link.refuse(ENDED)

    def gone(self) -> None:
        self._link.lose(ENDED)
