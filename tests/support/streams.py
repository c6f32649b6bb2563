"""The messages of an open event stream, one by one."""

import asyncio
from typing import Any

import httpx2

from tests.support.routers import messages
from tests.support.waiting import PATIENCE


class Stream:
    def __init__(self, response: httpx2.Response) -> None:
        self._lines = response.aiter_lines()

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while True:
                if found := messages(await anext(self._lines)):
                    return found[0]

    async def until(self, method: str) -> dict[str, Any]:
        """The next message of a method."""
        while (message := await self.next()).get("method") != method:
            pass
        return message

    async def answer(self) -> dict[str, Any]:
        """The next response."""
        while "method" in (message := await self.next()):
            pass
        return message
