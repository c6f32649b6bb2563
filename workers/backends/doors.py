"""Ways to get a link to a replica: start a process, or connect to a URL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from typing_extensions import override

from common.config.model import Backend
from workers.backends.answers import refusal
from workers.backends.duplex import DuplexLink
from workers.backends.events_wire import EventsWire
from workers.backends.exchange import CONNECT_LIMIT, Exchange
from workers.backends.groups import records_folder
from workers.backends.http_link import HttpLink
from workers.backends.http_pool import HttpPool
from workers.backends.link import Hearing, Link
from workers.backends.pipes import Pipes
from workers.backends.process import Child
from workers.backends.proxied import ProxiedExchange, behind_proxy
from workers.backends.side import Side
from workers.backends.stderr import Stderr, StderrFile

EVENT_STREAM = {"accept": "text/event-stream"}


class Door(Protocol):
    """Opened again and again, for as long as the replica is wanted."""

    @property
    def url(self) -> str | None:
        """As it may be shown."""
        ...

    @property
    def pid(self) -> int | None: ...

    @property
    def last_stderr(self) -> str | None: ...

    @property
    def exit_status(self) -> int | None:
        """Of the last process that ended; negative for a signal."""
        ...

    def open(self, hearing: Hearing) -> AbstractAsyncContextManager[Link]:
        """A new link; nothing is known yet about what is behind it.

        Raises:
            OSError: No process could be started.
            BackendError, TimeoutError: The server refuses, or does not answer.
        """
        ...

    async def aclose(self) -> None: ...


class ProcessDoor:
    """Each opening is a new process."""

    url = None

    def __init__(self, config: Backend, data: Path, owner: str, file: StderrFile) -> None:
        self._config = config
        self._records = records_folder(data, owner)
        self._stderr = Stderr(file)
        self._child: Child | None = None
        self.exit_status: int | None = None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None else None

    @property
    def last_stderr(self) -> str | None:
        return self._stderr.last

    @asynccontextmanager
    async def open(self, hearing: Hearing) -> AsyncIterator[Link]:
        self.exit_status = None
        link = DuplexLink(self._config.name, hearing)
        pipes = Pipes(link)
        child = self._child = await self._start(pipes)
        pipes.attach(child)
        link.attach(pipes)
        try:
            yield link
        finally:
            await child.stop()
            self._child = None
            self.exit_status = child.exit_status

    async def _start(self, pipes: Pipes) -> Child:
        starting = asyncio.ensure_future(
            Child.start(self._config, self._records, self._stderr, pipes)
        )
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # Whatever was started meanwhile must be stopped all the same.
            with suppress(OSError):
                await (await starting).stop()
            raise

    async def aclose(self) -> None:
        """Nothing outlives an opening."""


class HttpDoor:
    """All openings share the connections to one URL."""

    pid = None
    last_stderr = None
    exit_status = None

    def __init__(self, config: Backend, url: str) -> None:
        self.url = shown(url)
        self._url = url
        proxied = behind_proxy(url)
        self._name = config.name
        self._exchange: Exchange = (ProxiedExchange if proxied else HttpPool)(config.headers)
        self._side = Side(config.name)

    @asynccontextmanager
    async def open(self, hearing: Hearing) -> AsyncIterator[Link]:
        link = HttpLink(self._url, self._exchange, hearing, self._side)
        try:
            yield link
        finally:
            await link.goodbye()

    async def aclose(self) -> None:
        await self._side.aclose()
        await self._exchange.aclose()


class EventsDoor(HttpDoor):
    """The same for HTTP+SSE: each opening is an event stream of its own."""

    @asynccontextmanager
    @override
    async def open(self, hearing: Hearing) -> AsyncIterator[Link]:
        link = DuplexLink(self._name, hearing)
        wire = EventsWire(self._url, self._exchange, self._side, link)
        async with AsyncExitStack() as stack:
            # Its head comes at once, or the server hangs; what follows takes as long as it likes.
            async with asyncio.timeout(CONNECT_LIMIT):
                asking = self._exchange.send("GET", self._url, EVENT_STREAM, b"")
                answer = await stack.enter_async_context(asking)
                if answer.status != 200:
                    raise await refusal(answer, had_session=False)
            listening = self._side.start(wire.listen(answer))
            try:
                await wire.ready()
                yield link
            finally:
                listening.cancel()
                link.lose("the stream was closed")


def shown(url: str) -> str:
    """A URL without what may be a secret in it: user, password, query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
