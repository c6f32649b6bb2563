"""One HTTP request and its answer: the seam behind which the HTTP client can be replaced.

Errors are told apart here, by what can be proved about the request: not begun, or begun.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import httpx2

from workers.backends.base import ConnectionLost, NotStarted

CONNECT_LIMIT = 30.0  # seconds
WRITE_LIMIT = 30.0  # seconds without the socket taking a byte
IDLE_LIMIT = 2.0  # seconds; servers close idle connections, mostly after 5

# The silence of a tool is no error: reading has no limit, the caller's clocks do.
LIMITS = httpx2.Timeout(connect=CONNECT_LIMIT, write=WRITE_LIMIT, pool=CONNECT_LIMIT, read=None)

_NOT_BEGUN = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
)


class Answer(Protocol):
    @property
    def status(self) -> int: ...

    def header(self, name: str) -> str: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes.

        Raises:
            ConnectionLost: It broke off.
        """
        ...


class Exchange(Protocol):
    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> AbstractAsyncContextManager[Answer]:
        """Send, and be in the block once the answer's head is there; leaving it ends the exchange.

        Raises:
            NotStarted: Not one byte was written.
            ConnectionLost: Something was, and no answer came.
        """
        ...

    async def aclose(self) -> None: ...


class HttpxAnswer:
    def __init__(self, response: httpx2.Response) -> None:
        self._response = response
        self.status = response.status_code

    def header(self, name: str) -> str:
        return str(self._response.headers.get(name, ""))

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.aiter_bytes():
                yield chunk
        except httpx2.HTTPError as error:
            raise ConnectionLost(f"the answer broke off: {_said(error)}") from error


class HttpxExchange:
    """Keep-alive connections to one backend. The pool looks at an idle one before it uses it."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._client = httpx2.AsyncClient(
            headers=dict(headers),
            timeout=LIMITS,
            limits=httpx2.Limits(max_connections=None, keepalive_expiry=IDLE_LIMIT),
        )

    @asynccontextmanager
    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> AsyncIterator[Answer]:
        request = self._client.build_request(method, url, content=body, headers=dict(headers))
        try:
            response = await self._client.send(request, stream=True, follow_redirects=False)
        except _NOT_BEGUN as error:
            raise NotStarted(f"could not connect: {_said(error)}") from error
        except httpx2.HTTPError as error:
            raise ConnectionLost(f"no answer: {_said(error)}") from error
        try:
            yield HttpxAnswer(response)
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        await self._client.aclose()


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
