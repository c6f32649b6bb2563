"""The `Exchange` for backends that the environment puts behind an HTTP proxy."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from workers.backends.base import ConnectionLost, NotStarted
from workers.backends.exchange import CONNECT_LIMIT, IDLE_LIMIT, Answer

WRITE_LIMIT = 30.0  # seconds without the socket taking a byte

# The silence of a tool is no error: reading has no limit.
LIMITS = httpx2.Timeout(connect=CONNECT_LIMIT, write=WRITE_LIMIT, pool=CONNECT_LIMIT, read=None)

_NOT_BEGUN = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
)


def behind_proxy(url: str) -> bool:
    """Whether HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say so."""
    parts, proxies = urlsplit(url), getproxies()
    if parts.scheme not in proxies and "all" not in proxies:
        return False
    return not proxy_bypass(parts.hostname or "")


class ProxiedExchange:
    """Slower than our own connections, but a complete HTTP client."""

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
        """See `Exchange.send`."""
        request = self._client.build_request(method, url, content=body, headers=dict(headers))
        try:
            response = await self._client.send(request, stream=True, follow_redirects=False)
        except _NOT_BEGUN as error:
            raise NotStarted(f"could not connect: {_said(error)}") from error
        except httpx2.HTTPError as error:
            raise ConnectionLost(f"no answer: {_said(error)}") from error
        try:
            yield ProxiedAnswer(response)
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        await self._client.aclose()


class ProxiedAnswer:
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


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
