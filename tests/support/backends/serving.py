"""Real HTTP servers for the length of a block: in this event loop, as a process, as raw bytes."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn

from tests.support.waiting import until, wait_for

HERE = Path(__file__).parent


@asynccontextmanager
async def served(app: Any, *, lifespan: bool = False) -> AsyncIterator[str]:
    """An ASGI application behind an address without a path."""
    sock = socket.create_server(("127.0.0.1", 0))
    # asyncio's own loop would leave it off: 40 ms for each answer of more than one write.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(
        app,
        log_level="warning",
        lifespan="on" if lifespan else "off",
        timeout_graceful_shutdown=1,
        timeout_keep_alive=30,
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        await until(lambda: server.started)
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


@contextmanager
def program(name: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """One of the programs of this folder, serving HTTP on a port of this machine."""
    command = [sys.executable, str(HERE / f"{name}.py"), "http", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: answers(port), seconds=20)
            yield process
        finally:
            process.kill()


def answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class RawServer:
    """A server in a thread of its own, so that it goes on while the event loop is held up."""

    def __init__(self, handle: Callable[["RawServer", socket.socket], None]) -> None:
        self._handle = handle
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/mcp"
        self.requests: list[bytes] = []
        self.connections = 0
        self.closed = threading.Event()

    def run(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def stop(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def read(self, connection: socket.socket) -> bytes:
        """One request with its body; empty when the client has closed."""
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := connection.recv(65_536)):
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        while len(body) < length:
            body += connection.recv(65_536)
        self.requests.append(body)
        return body

    def _serve(self, connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            self._handle(self, connection)


@contextmanager
def raw_server(handle: Callable[[RawServer, socket.socket], None]) -> Iterator[RawServer]:
    server = RawServer(handle)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(5)
