"""A backend pool that runs for the length of a block, and what was heard from it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.clock import SystemClock
from common.config.model import Backend
from tests.support.waiting import until
from workers.backends.base import Call, ProtocolFailure, ToolListing
from workers.backends.pool import BackendPool

HERE = Path(__file__).parent
OWNER = "this-test"


@dataclass
class Heard:
    """A listener that remembers."""

    values: list[float] = field(default_factory=list)
    messages: list[str | None] = field(default_factory=list)
    lines: list[Any] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    checkpoints: list[Any] = field(default_factory=list)

    def progress(self, value: float, total: float | None, message: str | None) -> None:
        del total
        self.values.append(value)
        self.messages.append(message)

    def output(self, text: str) -> None:
        self.pieces.append(text)

    def checkpoint(self, said: object) -> None:
        self.checkpoints.append(said)

    def log(self, params: Mapping[str, Any]) -> None:
        self.lines.append(params["data"])

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ProtocolFailure(-1, f"{method} reached a caller that has not declared it: {params}")

    async def entrusted(self, task: str) -> None:
        self.tasks.append(task)


@dataclass
class Pooled:
    """A running pool, its listings so far, and a short way to call."""

    pool: BackendPool
    data: Path
    listings: list[ToolListing]

    async def call(self, tool: str, heard: Heard | None = None, **arguments: Any) -> dict[str, Any]:
        async with await asyncio.wait_for(self.pool.wait_place(), 15) as place:
            return await place.call(call(tool, **arguments), heard or Heard())

    async def listing(self) -> ToolListing:
        await until(lambda: self.listings)
        return self.listings[-1]

    @property
    def stderr(self) -> str:
        log = next(iter((self.data / "logs").glob("*.log")), None)
        return log.read_text() if log is not None else ""


def call(tool: str, **arguments: Any) -> Call:
    return Call(tool=tool, arguments=arguments, meta={}, client_capabilities={})


def stdio(program: str, *arguments: str, **settings: Any) -> Backend:
    """A backend whose command is one of the programs of this folder."""
    args = (str(HERE / f"{program}.py"), *arguments)
    return Backend(name="fixture", command=sys.executable, args=args, **settings)


def http(*urls: str, **settings: Any) -> Backend:
    return Backend(name="fixture", transport="http", urls=urls, **settings)


@asynccontextmanager
async def pooled(config: Backend, data: Path) -> AsyncIterator[Pooled]:
    listings: list[ToolListing] = []

    async def on_tools(listing: ToolListing) -> None:
        listings.append(listing)

    pool = BackendPool(config, SystemClock(), data=data, owner=OWNER, on_tools=on_tools)
    running = asyncio.create_task(pool.run())
    try:
        yield Pooled(pool, data, listings)
    finally:
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()
