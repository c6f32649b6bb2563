"""The bridge itself: lines in, each to the router by its era; what comes back, out as lines.

Every request has a task of its own, so a slow answer holds up nobody. Notifications keep their
order, and a request waits for those before it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Coroutine
from typing import Any

import mcp_types as types
import structlog
from mcp.shared.inbound import MCP_METHOD_HEADER, MCP_PROTOCOL_VERSION_HEADER

from longhaul.bridge.asking import Asker, Era, Flight
from longhaul.bridge.handshake import Handshake
from longhaul.bridge.messages import (
    CALL,
    CANCELLED,
    LIST_TOOLS,
    BadLineError,
    Message,
    error_line,
    read_message,
)
from longhaul.bridge.modern import Modern
from longhaul.bridge.routers import Routers
from longhaul.bridge.stdio import LONGEST_LINE, ClientGoneError, OverlongError, Stdio
from longhaul.bridge.wire import AwayError, BrokenError, Wire

log = structlog.get_logger(__name__)

AT_ONCE = 1_000  # messages under way; beyond that requests are refused
LAST_WORDS = 1.0  # seconds for notifications under way once the client has gone; it may wait 2
BEGUN_WITHIN = 5.0  # seconds that a cancel waits for its request to have reached the router


class Relay:
    def __init__(self, stdio: Stdio, routers: Routers, bridge: str) -> None:
        self._stdio = stdio
        self._routers = routers
        self._wire = wire = Wire(bridge)
        self._asker = Asker(routers, wire, stdio.write)
        self._handshake = Handshake(routers, wire, stdio.write)
        self._modern = Modern(routers, wire)
        self._flights: dict[types.RequestId, tuple[Flight, asyncio.Task[None]]] = {}
        self._aside: set[asyncio.Task[None]] = set()  # notifications, the client's answers
        self._last_aside: asyncio.Task[None] | None = None
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Until the client has closed its side, or the process is asked to end.

        What is under way then loses its connection, and that is all: jobs go on, sessions stay.
        """
        async with self._wire, asyncio.TaskGroup() as group:
            self._group = group
            background = [
                group.create_task(self._guarded(work))
                for work in (self._read(), self._modern.watch(), self._handshake.hear())
            ]
            await self._stdio.closed.wait()
            if self._aside:
                await asyncio.wait(self._aside, timeout=LAST_WORDS)
            flights = [task for _, task in self._flights.values()]
            for task in (*background, *flights, *self._aside):
                task.cancel()

    async def _read(self) -> None:
        try:
            await self._read_lines()
        finally:
            self._stdio.closed.set()

    async def _read_lines(self) -> None:
        async for line in self._stdio.lines():
            if isinstance(line, OverlongError):
                words = f"a line may have {LONGEST_LINE} bytes"
                await self._stdio.write(error_line(None, types.INVALID_REQUEST, words))
                continue
            try:
                message = read_message(line)
            except BadLineError as error:
                await self._stdio.write(error.answer)
            else:
                await self._hear(message)

    async def _hear(self, message: Message) -> None:
        request = message.id if message.method is not None else None
        if len(self._flights) + len(self._aside) >= AT_ONCE:
            log.warning("bridge.too_much", method=message.method)
            if request is not None:
                words = f"{AT_ONCE} messages are under way: wait for some of them"
                again = {"retryable": True}
                await self._stdio.write(error_line(request, types.INTERNAL_ERROR, words, again))
        elif request is not None:
            flight = Flight(message=message, id=request)
            task = self._start(self._carry(flight, self._last_aside), request)
            self._flights[request] = flight, task
        elif message.cancels in self._flights:
            flight, task = self._flights[message.cancels]
            self._say_aside(self._cancel(message, flight, task))
        elif message.method != CANCELLED or self._handshake.is_open:
            era = self._era(message)
            self._last_aside = self._say_aside(self._tell(message, era, self._last_aside))

    def _era(self, message: Message) -> Era:
        return self._handshake if message.version is None else self._modern

    # --- one message

    async def _carry(self, flight: Flight, before: asyncio.Task[None] | None) -> None:
        message = flight.message
        try:
            if before is not None:
                await asyncio.wait({before})
            if message.method in {LIST_TOOLS, CALL}:
                await self._routers.warm()
            answer = await self._asker.ask(flight, self._era(message))
            if not flight.silent:
                await self._stdio.write(answer)
        finally:
            if self._flights.get(flight.id, (None,))[0] is flight:
                del self._flights[flight.id]

    async def _tell(self, message: Message, era: Era, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        await self._asker.tell(message, era)

    async def _cancel(self, message: Message, flight: Flight, task: asyncio.Task[None]) -> None:
        """In both eras the router is told; in the newer one the request's stream closes as well."""
        flight.silent = True
        version = flight.message.version
        if version is None:
            await _within(BEGUN_WITHIN, flight.begun.wait())
            await self._asker.tell(message, self._handshake)
            return
        target = self._routers.known()
        if flight.message.method == CALL and target is not None:
            sent = {MCP_PROTOCOL_VERSION_HEADER: str(version), MCP_METHOD_HEADER: CANCELLED}
            try:
                async with self._wire.send(target, "POST", sent, message.line):
                    pass
            except (AwayError, BrokenError) as error:
                log.info("bridge.cancel_not_told", error=str(error))
        task.cancel()

    # --- tasks

    def _start(
        self, work: Coroutine[Any, Any, None], request: types.RequestId | None = None
    ) -> asyncio.Task[None]:
        if self._group is None:
            raise RuntimeError("the bridge is not running")
        return self._group.create_task(self._guarded(work, request))

    def _say_aside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._start(work)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)
        return task

    async def _guarded(
        self, work: Coroutine[Any, Any, None], request: types.RequestId | None = None
    ) -> None:
        with contextlib.suppress(ClientGoneError):
            try:
                await work
            except ClientGoneError:
                raise
            except Exception:  # the boundary: one odd message must not end the others
                log.exception("bridge.failed")
                if request is not None:
                    words = "the bridge failed; its log says more"
                    await self._stdio.write(error_line(request, types.INTERNAL_ERROR, words))


async def _within(seconds: float, fact: Awaitable[object]) -> None:
    try:
        async with asyncio.timeout(seconds):
            await fact
    except TimeoutError:
        return
