"""The wire of HTTP+SSE, the transport of 2024-11-05: a stream in, a POST per message out."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER

from workers.backends.answers import events, refusal
from workers.backends.base import BackendError, ConnectionLost, NotStarted
from workers.backends.duplex import DuplexLink
from workers.backends.exchange import ASIDE_LIMIT, CONNECT_LIMIT, Answer, Exchange
from workers.backends.side import Side


class EventsWire:
    def __init__(self, url: str, exchange: Exchange, side: Side, link: DuplexLink) -> None:
        self._url = url
        self._exchange = exchange
        self._side = side
        self._link = link
        self._endpoint = url
        self._named = asyncio.Event()

    async def ready(self) -> None:
        """Wait until the backend has said where to post to, or that it never will.

        Raises:
            ConnectionLost: It did not.
            TimeoutError: It said nothing.
        """
        async with asyncio.timeout(CONNECT_LIMIT):
            await self._named.wait()
        if self._link.lost is not None:
            raise ConnectionLost(self._link.lost)

    async def send(self, data: bytes) -> None:
        headers = {"content-type": "application/json", **self._version()}
        try:
            async with self._exchange.send("POST", self._endpoint, headers, data) as answer:
                if not 200 <= answer.status < 300:
                    raise await refusal(answer, had_session=True)
        except NotStarted as error:
            self._link.lose(error.message)
            raise

    def say(self, data: bytes) -> None:
        self._side.start(self._said(data))

    async def listen(self, answer: Answer) -> None:
        """Hear the stream until it ends; its first event says where to post to."""
        reason = "the backend closed its stream"
        try:
            async for event in events(answer):
                if event.name == "endpoint":
                    self._endpoint = _within(self._url, event.data.decode("utf-8", "replace"))
                    self._link.attach(self)
                    self._named.set()
                elif event.name in {"", "message"}:
                    self._link.heard(event.data)
        except BackendError as error:
            reason = error.message
        finally:
            self._link.lose(reason)
            self._named.set()

    async def _said(self, data: bytes) -> None:
        with suppress(BackendError, TimeoutError):
            async with asyncio.timeout(ASIDE_LIMIT):
                await self.send(data)

    def _version(self) -> Mapping[str, str]:
        version = self._link.protocol_version
        return {} if version is None else {MCP_PROTOCOL_VERSION_HEADER: version}


def _within(url: str, endpoint: str) -> str:
    """Where to post to; never to another origin, our headers are for this one."""
    there = urljoin(url, endpoint)
    if urlsplit(there)[:2] != urlsplit(url)[:2]:
        raise ConnectionLost("the backend names an endpoint of another origin")
    return there
