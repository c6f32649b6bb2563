"""The 2026-07-28 era: each request for itself, with headers that are made from its body.

Which arguments of a tool go into headers stands in its schema: learned from the lists that pass by,
else asked for. The bridge also listens for changes of that list; the open stream tells a router
that it is still needed.
"""

from collections.abc import Mapping
from importlib.metadata import version as installed_version
from typing import Any

import httpx2
import mcp_types as types
import structlog
from mcp_types.version import LATEST_MODERN_VERSION
from typing_extensions import override

from common.backoff import Backoff
from common.wire import dump_json, load_json
from longhaul.bridge.asking import Era, Reply
from longhaul.bridge.headers import HeaderMap, header_map, modern_headers
from longhaul.bridge.messages import CALL, LIST_TOOLS, LISTEN, Message, read_message
from longhaul.bridge.routers import Routers
from longhaul.bridge.wire import AwayError, BrokenError, Wire, events, is_stream, whole_answer
from longhaul.target import Target

log = structlog.get_logger(__name__)

OURS = "longhaul-bridge"  # the id of the bridge's own requests
PAGES = 100  # of a list that is asked for


class Modern(Era):
    """What the bridge knows of tools, and the stream on which it hears that they changed."""

    def __init__(self, routers: Routers, wire: Wire) -> None:
        self._routers = routers
        self._wire = wire
        self._mirrored: dict[str, HeaderMap] = {}  # by tool

    @override
    async def headers(self, message: Message) -> Mapping[str, str]:
        mirrored: HeaderMap = {}
        name = message.params.get("name")
        if message.method == CALL and message.params.get("arguments") and isinstance(name, str):
            if name not in self._mirrored:
                await self._look_up(name)
            mirrored = self._mirrored.get(name, {})
        return modern_headers(message, mirrored)

    @override
    async def set_right(self, message: Message, refusal: Reply) -> bool:
        """Headers that do not fit were made from a list that is no more; nothing has run."""
        if message.method != CALL or _error_code(refusal.line) != types.HEADER_MISMATCH:
            return False
        self._mirrored.clear()
        return True

    @override
    def carried(self, message: Message, reply: Reply) -> None:
        if message.method == LIST_TOOLS:
            self._learn(reply.line)

    async def watch(self) -> None:
        """Listen for changes for as long as this runs. Starts no router."""
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
        """One stream to its end; False where the router has none."""
        request = own_request(LISTEN, {"notifications": {"toolsListChanged": True}})
        sent = modern_headers(request, {})
        async with self._wire.send(target, "POST", sent, request.line) as response:
            if not is_stream(response):
                return response.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR
            backoff.reset()
            async for _ in events(response):
                self._mirrored.clear()
        return True

    async def _look_up(self, name: str) -> None:
        """Ask for the list until the tool is found. Without it the call goes as it can."""
        cursor: object = None
        target = self._routers.known()
        if target is None:
            return
        for _ in range(PAGES):
            request = own_request(LIST_TOOLS, {} if cursor is None else {"cursor": cursor})
            try:
                sent = modern_headers(request, {})
                async with self._wire.send(target, "POST", sent, request.line) as response:
                    answer = await whole_answer(response, OURS)
            except (AwayError, BrokenError) as error:
                log.debug("bridge.no_list", error=str(error))
                return
            cursor = self._learn(answer)
            if name in self._mirrored or cursor is None:
                return

    def _learn(self, answer: bytes) -> object:
        """Remember a page; the cursor of the next."""
        try:
            page = load_json(answer)["result"]
            for tool in page["tools"]:
                self._mirrored[tool["name"]] = header_map(tool.get("inputSchema"))
            return page.get("nextCursor")
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def own_request(method: str, params: Mapping[str, Any]) -> Message:
    meta = {
        types.PROTOCOL_VERSION_META_KEY: LATEST_MODERN_VERSION,
        types.CLIENT_INFO_META_KEY: {
            "name": OURS,
            "version": installed_version("mcp-longhaul"),
        },
        types.CLIENT_CAPABILITIES_META_KEY: {},
    }
    body = {"jsonrpc": "2.0", "id": OURS, "method": method, "params": {**params, "_meta": meta}}
    return read_message(dump_json(body))


def _error_code(answer: bytes) -> object:
    try:
        return load_json(answer)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return None
