"""The handshake era: the client's session, opened anew when the router has forgotten it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2
import structlog
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from typing_extensions import override

from common.backoff import Backoff
from common.wire import load_json
from longhaul.bridge.asking import Era, Reply, Say
from longhaul.bridge.messages import (
    INITIALIZE,
    INITIALIZED,
    Message,
    notification_line,
)
from longhaul.bridge.routers import Routers
from longhaul.bridge.wire import (
    SESSION_HEADER,
    AwayError,
    BrokenError,
    Wire,
    ends_request,
    events,
    is_stream,
)
from longhaul.target import Target

log = structlog.get_logger(__name__)

SET_LEVEL = "logging/setLevel"
_KEPT = (INITIALIZE, INITIALIZED, SET_LEVEL)  # in the order in which they are said again


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    id: str | None  # not every server gives one
    version: str

    @property
    def headers(self) -> dict[str, str]:
        named = {} if self.id is None else {SESSION_HEADER: self.id}
        return {MCP_PROTOCOL_VERSION_HEADER: self.version, **named}


class Handshake(Era):
    """The client's session, and the stream on which the server speaks unasked."""

    def __init__(self, routers: Routers, wire: Wire, say: Say) -> None:
        self._routers = routers
        self._wire = wire
        self._say = say
        self._session: Session | None = None
        self._kept: dict[str, Message] = {}  # what the session was made of
        self._initialized = asyncio.Event()
        self._renewing = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        return self._session is not None

    @override
    async def headers(self, message: Message) -> Mapping[str, str]:
        if message.method == INITIALIZE or self._session is None:
            return {}
        return self._session.headers

    @override
    async def set_right(self, message: Message, refusal: Reply) -> bool:
        """A session that the router does not know is opened again; it refused before it acted."""
        if refusal.response.status_code != httpx2.codes.NOT_FOUND:
            return False
        return SESSION_HEADER in refusal.sent and await self._renew(refusal.sent[SESSION_HEADER])

    @override
    def carried(self, message: Message, reply: Reply) -> None:
        if message.method not in _KEPT or not reply.response.is_success:
            return
        if message.method == INITIALIZE:
            opened = _opened(reply.response.headers, reply.line)
            if opened is None:
                return
            self._session = opened
        self._kept[message.method] = message
        if message.method == INITIALIZED:
            self._initialized.set()

    async def hear(self) -> None:
        """Pass on what the server says unasked, for as long as this runs. Starts no router."""
        await self._initialized.wait()
        backoff = Backoff(first=0.2, limit=10.0)
        while True:
            target = self._routers.known()
            if target is not None:
                try:
                    if not await self._listen(target, backoff):
                        return
                except (AwayError, BrokenError):
                    self._routers.lost(target)
            await self._routers.pause(backoff.next())

    async def _listen(self, target: Target, backoff: Backoff) -> bool:
        """One stream to its end; False when there is none to be had."""
        sent = {} if self._session is None else self._session.headers
        async with self._wire.send(target, "GET", sent) as response:
            if is_stream(response):
                backoff.reset()
                async for line in events(response):
                    await self._say(line)
                return True
            status = response.status_code
        if status == httpx2.codes.NOT_FOUND and SESSION_HEADER in sent:
            return await self._renew(sent[SESSION_HEADER])
        return status == httpx2.codes.CONFLICT or status >= httpx2.codes.INTERNAL_SERVER_ERROR

    # --- opening it anew

    async def _renew(self, stale: str) -> bool:
        """Raises: AwayError: The router went away meanwhile."""
        async with self._renewing:
            if self._session is None or INITIALIZE not in self._kept:
                return False
            if self._session.id != stale:
                return True
            target = self._routers.known()
            if target is None:
                raise AwayError("the router has gone again")
            try:
                return await self._open(target)
            except BrokenError as error:
                raise AwayError(str(error)) from error

    async def _open(self, target: Target) -> bool:
        opened: Session | None = None
        for message in [self._kept[method] for method in _KEPT if method in self._kept]:
            sent = {} if opened is None else opened.headers
            async with self._wire.send(target, "POST", sent, message.line) as response:
                answer = await _last_line(response)
            opened = opened or _opened(response.headers, answer)
            if opened is None:
                return False
        self._session = opened
        log.info("bridge.session_renewed", address=target.url)
        # Nobody knows what the client was not told meanwhile.
        await self._say(notification_line("notifications/tools/list_changed"))
        return True


async def _last_line(response: httpx2.Response) -> bytes:
    if not is_stream(response):
        return await response.aread()
    async for line in events(response):
        if ends_request(line):
            return line
    raise BrokenError("the stream ended without an answer")


def _opened(headers: httpx2.Headers, answer: bytes) -> Session | None:
    """The session that an answered `initialize` made; None when it was refused."""
    try:
        result = load_json(answer)["result"]
        return Session(id=headers.get(SESSION_HEADER), version=str(result["protocolVersion"]))
    except (ValueError, KeyError, TypeError):
        return None
