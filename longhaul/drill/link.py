"""The link between a process and its server: a TCP proxy that a drill cuts and mends.

It runs in a thread of the drill. What is cut loses its connections and is refused new ones, as when
a firewall rejects or a route is withdrawn; both ends see it at once.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, urlsplit, urlunsplit

from longhaul.exits import UsageError

PORTS = {"amqp": 5672, "redis": 6379}
CHUNK = 65_536  # bytes


class Link:
    """To the server of this address, while the block lasts; open at first.

    Raises:
        UsageError: No link can carry it: with TLS, its name would not be the server's.
    """

    def __init__(self, url: str) -> None:
        self._server_url = _plain(url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link", daemon=True)
        self._server: asyncio.Server | None = None
        self._open = True
        self._ends: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        """The server's address by way of this link."""
        assert self._server is not None  # noqa: S101 - entered
        port = self._server.sockets[0].getsockname()[1]
        login, at, _ = self._server_url.netloc.rpartition("@")
        return urlunsplit(self._server_url._replace(netloc=f"{login}{at}127.0.0.1:{port}"))

    def cut(self) -> None:
        self._call(self._cut)

    def mend(self) -> None:
        self._open = True

    def __enter__(self) -> Self:
        self._thread.start()
        serving = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(serving, self._loop).result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, act: Callable[[], None]) -> None:
        """In the link's own thread, to its end."""

        async def there() -> None:
            act()

        asyncio.run_coroutine_threadsafe(there(), self._loop).result()

    def _cut(self) -> None:
        self._open = False
        for end in self._ends:
            end.transport.abort()

    def _heed_cut(self) -> None:
        if not self._open:
            self._cut()

    async def _close(self) -> None:
        assert self._server is not None  # noqa: S101 - entered
        self._server.close()
        self._cut()
        me = asyncio.current_task()
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task is not me))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        host, port = self._server_url.hostname, self._server_url.port
        try:
            there, back = await asyncio.open_connection(
                host, port or PORTS[self._server_url.scheme]
            )
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, back}
        self._ends |= ends
        self._heed_cut()  # it may have come while the connection was made
        try:
            pumps = [
                asyncio.create_task(_pump(reader, back)),
                asyncio.create_task(_pump(there, writer)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                end.transport.abort()  # the other pump ends with it
            await asyncio.wait(pumps)
        finally:
            self._ends -= ends


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(CHUNK):
            writer.write(piece)
            await writer.drain()


def _plain(url: str) -> SplitResult:
    found = urlsplit(url)
    if found.scheme not in PORTS:
        raise UsageError(
            f"a drill on servers cuts links to amqp:// and redis:// only, not {found.scheme}://: "
            "write a plan, with commands that cut"
        )
    return found
