"""The body limit: a request that carries too much is stopped while it is still coming in."""

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Wraps one request. `broken` tells afterwards that the caller still waits for its 413."""

    def __init__(self, receive: Receive, send: Send, most: int) -> None:
        self._receive = receive
        self._send = send
        self._most = most
        self._seen = 0
        self._exceeded = False
        self._answering = False

    @property
    def words(self) -> str:
        return f"a request may have {self._most} bytes"

    @property
    def broken(self) -> bool:
        return self._exceeded and not self._answering

    def announced_too_much(self, content_length: str) -> bool:
        return (
            content_length.isascii()
            and content_length.isdigit()
            and (int(content_length) > self._most)
        )

    async def guard(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._count, self._pass)
        except ClientDisconnect:
            if not self._exceeded:
                raise

    async def _count(self) -> Message:
        """To the application an oversized request looks like one whose client went away."""
        if self._exceeded:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen += len(message.get("body", b""))
            if self._seen > self._most:
                self._exceeded = True
                return {"type": "http.disconnect"}
        return message

    async def _pass(self, message: Message) -> None:
        if self._exceeded and not self._answering:
            return  # whatever it makes of a lost client; the 413 follows
        self._answering = True
        await self._send(message)
