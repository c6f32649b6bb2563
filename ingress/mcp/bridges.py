"""Calls that came over a bridge (`longhaul stdio`), and how their client cancels one.

On stdio a 2026-07-28 client cancels by a notification. Its bridge posts that with its own id; only
a call of the same bridge and the same caller is meant. Which replica holds the call is not known,
so all of them hear of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import mcp_types as types
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from common.notifier.base import BRIDGES, Hint, Notifier
from common.wire import dump_json, load_json
from ingress.mcp.exchange import Exchange, exchange_in

log = structlog.get_logger(__name__)

BRIDGE_HEADER = b"x-longhaul-bridge"
CANCEL_METHOD = b"notifications/cancelled"
EARLY = 1_000  # cancels kept for calls that have not come in yet


@dataclass(frozen=True, slots=True)
class BridgedCall:
    caller: str
    bridge: str
    request: types.RequestId  # as the client numbers its requests


class Bridges:
    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._held: dict[BridgedCall, Exchange] = {}
        self._early: dict[BridgedCall, None] = {}  # the oldest first

    async def run(self) -> None:
        """Hear of cancels, whichever replica they reached, until cancelled."""
        async with self._notifier.listen([BRIDGES]) as hints:
            async for hint in hints:
                if isinstance(hint, Hint):
                    self._cancel(BridgedCall(**load_json(hint.payload)))

    @contextmanager
    def holding(self, exchange: Exchange, request: types.RequestId | None) -> Iterator[None]:
        """A call that can be cancelled while the block lasts, if it came over a bridge."""
        if exchange.bridge is None or exchange.session is not None or request is None:
            yield
            return
        call = BridgedCall(exchange.caller.name, exchange.bridge, request)
        self._held[call] = exchange
        # Call and cancel travel on connections of their own: the later may have come first.
        if call in self._early:
            del self._early[call]
            exchange.cancel()
        try:
            yield
        finally:
            self._held.pop(call, None)

    async def hear(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A `notifications/cancelled` of a bridge, posted."""
        exchange = exchange_in(scope)
        request = await _named_request(Request(scope, receive))
        if exchange.bridge is None or request is None:
            await Response(status_code=400)(scope, receive, send)
            return
        call = BridgedCall(exchange.caller.name, exchange.bridge, request)
        if call in self._held:
            self._cancel(call)
        else:
            await self._notifier.publish(BRIDGES, dump_json(asdict(call)))
        await Response(status_code=202)(scope, receive, send)

    def _cancel(self, call: BridgedCall) -> None:
        exchange = self._held.get(call)
        if exchange is not None:
            exchange.cancel()
            return
        self._early[call] = None
        if len(self._early) > EARLY:
            del self._early[next(iter(self._early))]


async def _named_request(posted: Request) -> types.RequestId | None:
    try:
        named = load_json(await posted.body())["params"]["requestId"]
    except (ValueError, KeyError, TypeError, ClientDisconnect):
        return None
    return named if isinstance(named, str | int) and not isinstance(named, bool) else None
