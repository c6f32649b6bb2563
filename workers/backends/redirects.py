"""Redirects: one request that is followed to where its server sends it, at the same origin."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from urllib.parse import urljoin, urlsplit

from mcp_types import INTERNAL_ERROR

from workers.backends.base import ProtocolFailure
from workers.backends.exchange import Answer, Exchange

REDIRECTS = 3


class Sending:
    """One exchange as a block, see `Exchange.send`; `on_move` hears where the requests go now."""

    def __init__(
        self,
        exchange: Exchange,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        on_move: Callable[[str], None],
    ) -> None:
        self._exchange = exchange
        self._method = method
        self._url = url
        self._headers = headers
        self._body = body
        self._on_move = on_move
        self._sent: AbstractAsyncContextManager[Answer] | None = None

    async def __aenter__(self) -> Answer:
        for _ in range(REDIRECTS):
            sent = self._exchange.send(self._method, self._url, self._headers, self._body)
            answer = await sent.__aenter__()
            moved = moved_to(self._url, answer)
            if moved is None:
                self._sent = sent
                return answer
            await sent.__aexit__(None, None, None)
            self._url = moved
            self._on_move(moved)
        raise ProtocolFailure(INTERNAL_ERROR, "the backend only redirects")

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._sent is not None:
            await self._sent.__aexit__(exc_type, exc, traceback)


def moved_to(url: str, answer: Answer) -> str | None:
    """Where to send the same request instead; never to another origin, it carries our headers."""
    if answer.status not in {307, 308}:
        return None
    try:
        there = urljoin(url, answer.header("location"))
        here, target = urlsplit(url), urlsplit(there)
    except ValueError:  # no address at all
        return None
    same = (here.scheme, here.netloc) == (target.scheme, target.netloc)
    return there if same and there != url else None
