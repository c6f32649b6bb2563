"""A TCP proxy: the link between a process and a server, which a test can cut, hold or slow down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit, urlunsplit

CHUNK = 65_536  # bytes


class Link:
    """Open at first. What is cut is refused until it is mended; what is held arrives later."""

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()  # towards the server
        self._answers = asyncio.Event()  # back from it
        self.let_flow()
        self._open = True
        self._delay = 0.0
        self._piece = CHUNK
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The server's address by way of this link."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        user, at, _ = self._target.netloc.rpartition("@")
        return urlunsplit(self._target._replace(netloc=f"{user}{at}127.0.0.1:{port}"))

    @property
    def used(self) -> bool:
        return bool(self._ends)

    def cut(self) -> None:
        """Connections break, and new ones are refused."""
        self._open = False
        for end in self._ends:
            end.transport.abort()

    def mend(self) -> None:
        self._open = True

    def hold(self) -> None:
        """Connections stay, and nothing passes in either direction."""
        self._flows.clear()
        self._answers.clear()

    def hold_answers(self) -> None:
        """What is sent arrives, and what the server says to it does not."""
        self._answers.clear()

    def let_flow(self) -> None:
        self._flows.set()
        self._answers.set()

    def slow_down(self, seconds: float, *, piece: int = CHUNK) -> None:
        """Each piece arrives so much later, and has at most so many bytes."""
        self._delay = seconds
        self._piece = piece

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._ends |= {writer, back}
        pumps = [
            asyncio.create_task(self._pump(reader, back, self._flows)),
            asyncio.create_task(self._pump(there, writer, self._answers)),
        ]
        self._tasks.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        for end in (writer, back):
            end.close()
        self._tasks.difference_update(pumps)
        self._ends -= {writer, back}

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flows: asyncio.Event
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(self._piece):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await flows.wait()
                writer.write(piece)
                await writer.drain()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def linked(url: str) -> AsyncIterator[Link]:
    """A link to the server at this address, until the block ends."""
    link = Link(url)
    await link.open()
    try:
        yield link
    finally:
        await link.close()
