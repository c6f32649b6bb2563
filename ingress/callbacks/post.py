"""One POST to a target: to an address that was judged in this very moment, and to no other.

No redirect is followed, no proxy of the environment is asked, and of the answer only status and
headers are read.
"""

import asyncio
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import httpcore2
from typing_extensions import override

from common.errors import CallbackRefusedError
from common.retry_after import retry_after
from ingress.callbacks.resolving import NoSuchNameError, Resolver
from ingress.callbacks.target import Target

ADDRESSES = 4  # of one name that are tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    status: int
    retry_after: float | None = None  # seconds that the receiver asks for


@dataclass(frozen=True, slots=True)
class NotSent:
    """It did not arrive, as far as anybody knows; `why` names no address."""

    why: str


class Post:
    def __init__(self, resolver: Resolver, timeout: float) -> None:
        self._resolver = resolver
        self._timeout = timeout  # seconds for all of it
        self._tls: ssl.SSLContext | None = None

    async def send(
        self, target: Target, headers: Mapping[str, str], body: bytes
    ) -> Answered | NotSent:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._send(target, headers, body)
        except (TimeoutError, httpcore2.TimeoutException):
            return NotSent(f"no answer within {self._timeout:g} s")
        except CallbackRefusedError as error:
            return NotSent(str(error))
        except NoSuchNameError:
            return NotSent("no such host")
        except httpcore2.ConnectError as error:
            return NotSent(_why(error))
        except httpcore2.ProtocolError:
            return NotSent("what answers there does not speak HTTP")
        except (httpcore2.NetworkError, OSError):
            return NotSent("the connection was lost before an answer came")

    async def _send(self, target: Target, headers: Mapping[str, str], body: bytes) -> Answered:
        if self._tls is None:
            self._tls = httpcore2.default_ssl_context()
        url = httpcore2.URL(
            scheme=target.scheme, host=target.host, port=target.port, target=target.path
        )
        given = [("host", target.authority), ("connection", "close"), *headers.items()]
        async with (
            httpcore2.AsyncConnectionPool(
                ssl_context=self._tls,
                network_backend=_Judging(self._resolver, target, self._timeout),
            ) as connections,
            connections.stream("POST", url, headers=given, content=body) as answer,
        ):
            said = {name.lower(): value.decode("latin-1") for name, value in answer.headers}
            wait = retry_after(said.get(b"retry-after", ""), said.get(b"date", ""))
            return Answered(status=answer.status, retry_after=wait)


class _Judging(httpcore2.AsyncNetworkBackend):
    """Connects to an address that the target may be asked at, whatever its name said before."""

    def __init__(self, resolver: Resolver, target: Target, timeout: float) -> None:
        self._resolver = resolver
        self._target = target
        self._timeout = timeout
        self._inner = httpcore2.AnyIOBackend()

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        *others, last = (await self._resolver.permitted(self._target))[:ADDRESSES]
        # One that is silent leaves the next ones their share of the time, and the answer its own.
        share = self._timeout / (len(others) + 2)
        for address in others:
            with suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                return await self._inner.connect_tcp(str(address), port, timeout=share)
        return await self._inner.connect_tcp(str(last), port)


def _why(error: httpcore2.ConnectError) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return "TLS: no connection"
        cause = cause.__cause__ or cause.__context__
    return "no connection"
