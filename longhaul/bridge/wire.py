"""One HTTP exchange with the router, and the messages that come back on it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx2
import mcp_types as types

from common.config.validate import is_loopback
from common.wire import dump_json, load_json
from longhaul.bridge.messages import RequestId, error_line, one_line
from longhaul.target import Target

BRIDGE_HEADER = "x-longhaul-bridge"
SESSION_HEADER = "mcp-session-id"
CONNECT_WITHIN = 5.0  # seconds
SILENCE = 90.0  # seconds; an answer that takes long says every 15 that it is still coming
KEPT_IDLE = 30.0  # seconds for a connection; the router closes it after 75

_ALWAYS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


class AwayError(Exception):
    """The router is not there, and it never had the request."""


STOPPING_HEADER = "longhaul-stopping"  # on a refusal: nothing was taken


class BrokenError(Exception):
    """The router went away with the request in its hands."""


class Wire:
    """Connections to whichever router there is."""

    def __init__(self, bridge: str) -> None:
        self._bridge = bridge
        # A proxy of the environment is for the world outside.
        self._clients = {near: _client(trust_env=not near) for near in (True, False)}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for client in self._clients.values():
            await client.aclose()

    @asynccontextmanager
    async def send(
        self, target: Target, method: str, headers: Mapping[str, str], body: bytes = b""
    ) -> AsyncIterator[httpx2.Response]:
        """The response as soon as its headers are there; leaving closes what is still open.

        Raises:
            AwayError: Nothing was sent.
            BrokenError: It broke off, here or while the block read it.
        """
        client = self._clients[is_loopback(urlsplit(target.url).hostname or "")]
        whole = {**_ALWAYS, **headers, BRIDGE_HEADER: self._bridge}
        if target.key:
            whole["x-api-key"] = target.key
        try:
            async with client.stream(
                method, f"{target.url}/mcp", headers=whole, content=body
            ) as response:
                if STOPPING_HEADER in response.headers:
                    raise AwayError("the router was asked to stop")
                yield response
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise AwayError(str(error)) from error
        except httpx2.TransportError as error:
            raise BrokenError(str(error) or type(error).__name__) from error


def _client(*, trust_env: bool) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        trust_env=trust_env,
        timeout=httpx2.Timeout(SILENCE, connect=CONNECT_WITHIN, pool=None),
        limits=httpx2.Limits(max_connections=None, keepalive_expiry=KEPT_IDLE),
    )


async def events(response: httpx2.Response) -> AsyncIterator[bytes]:
    """The messages of an event stream, a line each, as they come."""
    async for event in httpx2.EventSource(response, max_event_size=None):
        if event.event == "message" and event.data:
            yield one_line(event.data.encode())


def is_stream(response: httpx2.Response) -> bool:
    return response.is_success and "text/event-stream" in response.headers.get("content-type", "")


async def whole_answer(response: httpx2.Response, request: RequestId) -> bytes:
    """The answer to a request whose response is no stream, as a line.

    A refusal that came before anybody read the request's id gets it here.
    """
    body = await response.aread()
    try:
        answer = load_json(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or not ("result" in answer or "error" in answer):
        return error_line(request, types.INTERNAL_ERROR, _words(response, answer))
    if answer.get("id") is None:
        return dump_json(answer | {"id": request})
    return one_line(body)


def ends_request(line: bytes) -> bool:
    """Whether it is the answer, and not something said before it."""
    try:
        message = load_json(line)
    except ValueError:
        return False
    return isinstance(message, dict) and "method" not in message


def _words(response: httpx2.Response, problem: object) -> str:
    """What the router, or something before it, said instead of an answer."""
    said = problem if isinstance(problem, dict) else {}
    detail = said.get("detail") or said.get("title")
    if response.status_code == httpx2.codes.UNAUTHORIZED:
        return "the router needs an API key: set LONGHAUL_API_KEY where this client starts it"
    return str(detail or f"the router answered with HTTP {response.status_code}")
