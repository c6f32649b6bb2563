"""Asking the router: a message goes out until somebody has it, and what comes back is passed on."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import httpx2
import mcp_types as types
import structlog

from common.config.problems import ConfigError
from longhaul.bridge.messages import CALL, Message, RequestId, error_line
from longhaul.bridge.routers import Routers
from longhaul.bridge.wire import (
    AwayError,
    BrokenError,
    Wire,
    ends_request,
    events,
    is_stream,
    whole_answer,
)
from longhaul.exits import CommandError

log = structlog.get_logger(__name__)

TRIES = 3  # of one message, each with a router that was just found
GONE = {
    CALL: "the router went away while it held this call. If it had accepted the call, there is a "
    "job with a record: before you call again, look for it with the tool longhaul_jobs, or with "
    "`longhaul jobs ls`",
    None: "the router went away before it had answered",
}

Say = Callable[[bytes], Awaitable[None]]


@dataclass(slots=True, kw_only=True, eq=False)
class Flight:
    """A request under way."""

    message: Message
    id: RequestId
    begun: asyncio.Event = field(default_factory=asyncio.Event)  # its response has begun
    said: bool = False  # something was passed on already
    silent: bool = False  # the client cancelled it, and hears nothing of it any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back for a message."""

    line: bytes
    response: httpx2.Response
    sent: Mapping[str, str]  # the headers the message went with


class Era(Protocol):
    """What differs between the eras of the protocol in how a message travels over HTTP."""

    async def headers(self, message: Message) -> Mapping[str, str]: ...
    async def set_right(self, message: Message, refusal: Reply) -> bool:
        """Whether it is worth sending again.

        Raises:
            AwayError: The router went away meanwhile.
        """
        ...

    def carried(self, message: Message, reply: Reply) -> None:
        """The router took it, and answered where it is a request."""
        ...


class Asker:
    def __init__(self, routers: Routers, wire: Wire, say: Say) -> None:
        self._routers = routers
        self._wire = wire
        self._say = say

    async def ask(self, flight: Flight, era: Era) -> bytes:
        """The answer, a line; what is said before it has gone to the client already."""
        message, request = flight.message, flight.id
        for _ in range(TRIES):
            try:
                target = await self._routers.reach()
            except (CommandError, ConfigError) as error:
                return error_line(request, types.INTERNAL_ERROR, str(error), {"retryable": True})
            try:
                sent = await era.headers(message)
                async with self._wire.send(target, "POST", sent, message.line) as response:
                    flight.begun.set()
                    line = await self._hear(flight, response)
                if await _taken(message, Reply(line=line, response=response, sent=sent), era):
                    return line
            except AwayError:
                self._routers.lost(target)
            except BrokenError as error:
                log.info("bridge.request_broken", method=message.method, error=str(error))
                self._routers.lost(target)
                if flight.said or not message.repeatable:
                    return _gone(flight)
        return error_line(
            request, types.INTERNAL_ERROR, "no router takes this request", {"retryable": True}
        )

    async def tell(self, message: Message, era: Era) -> None:
        """A notification, or the client's answer to a question: nothing comes back."""
        for _ in range(TRIES):
            try:
                target = await self._routers.reach()
            except (CommandError, ConfigError) as error:
                log.warning("bridge.not_told", method=message.method, error=str(error))
                return
            try:
                sent = await era.headers(message)
                async with self._wire.send(target, "POST", sent, message.line) as response:
                    line = await response.aread()
                if await _taken(message, Reply(line=line, response=response, sent=sent), era):
                    return
            except AwayError:
                self._routers.lost(target)
            except BrokenError:
                self._routers.lost(target)
                return

    async def _hear(self, flight: Flight, response: httpx2.Response) -> bytes:
        if not is_stream(response):
            return await whole_answer(response, flight.id)
        async for line in events(response):
            if ends_request(line):
                return line
            if not flight.silent:
                flight.said = True
                await self._say(line)
        raise BrokenError("the stream ended without an answer")


async def _taken(message: Message, reply: Reply, era: Era) -> bool:
    """False when it was refused for a reason that is no more."""
    if not reply.response.is_success and await era.set_right(message, reply):
        return False
    era.carried(message, reply)
    return True


def _gone(flight: Flight) -> bytes:
    """A call may stand as a job, so nobody is told to repeat it."""
    method = flight.message.method
    words = GONE.get(method, GONE[None])
    return error_line(flight.id, types.INTERNAL_ERROR, words, {"retryable": method != CALL})
