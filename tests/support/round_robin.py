"""A proxy that knows nothing of sessions: each request goes to the next of several routers."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import cycle

import httpx2
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from tests.support.backends.serving import served

OF_ONE_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class RoundRobin:
    """An ASGI application. Who leaves it is seen to leave behind it, too."""

    def __init__(self, bases: Sequence[str], http: httpx2.AsyncClient) -> None:
        self._turns = cycle(bases)
        self._http = http
        self.served: list[tuple[str, str]] = []  # method and whom it went to

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        base = next(self._turns)
        self.served.append((request.method, base))
        passing = asyncio.create_task(self._pass_on(base, request, body, send))
        leaving = asyncio.create_task(_left(receive))
        await asyncio.wait({passing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        for task in (passing, leaving):
            task.cancel()
        await asyncio.gather(passing, leaving, return_exceptions=True)

    async def _pass_on(self, base: str, request: Request, body: bytes, send: Send) -> None:
        headers = [(name, value) for name, value in request.headers.raw if name != b"host"]
        url = f"{base}{request.url.path}"
        async with self._http.stream(
            request.method, url, headers=headers, content=body
        ) as response:
            kept = [pair for pair in response.headers.raw if not _of_one_hop(pair[0])]
            start = {"type": "http.response.start", "status": response.status_code}
            await send({**start, "headers": kept})
            async for piece in response.aiter_raw():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def _of_one_hop(name: bytes) -> bool:
    return name.decode().lower() in OF_ONE_HOP


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@asynccontextmanager
async def round_robin(bases: Sequence[str]) -> AsyncIterator[tuple[str, RoundRobin]]:
    """In front of these, for the time of the block; its address."""
    async with httpx2.AsyncClient(timeout=None) as http:
        proxy = RoundRobin(bases, http)
        async with served(proxy) as url:
            yield url, proxy
