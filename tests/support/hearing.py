"""Listening to hints in a test."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from common.notifier.base import Gap, Hint, Notifier
from tests.support.waiting import PATIENCE

BEGIN = b"this is the beginning"
LAST = b"that was all"


class Heard:
    def __init__(self, hints: AsyncIterator[Hint | Gap], notifier: Notifier, channel: str) -> None:
        self._hints = hints
        self._notifier = notifier
        self._channel = channel

    async def all(self) -> list[Hint]:
        """Every hint until now: what was published earlier comes before a mark published now."""
        await self._notifier.publish(self._channel, LAST)
        hints = []
        with anyio.fail_after(PATIENCE):
            async for hint in self._hints:
                if hint == Hint(self._channel, LAST):
                    break
                assert isinstance(hint, Hint), "hints were missed"
                hints.append(hint)
        return hints


@asynccontextmanager
async def listening(notifier: Notifier, *channels: str) -> AsyncIterator[Heard]:
    """Listen from a moment at which every channel stands."""
    async with notifier.listen(channels) as hints:
        assert await anext(hints) == Gap()
        await notifier.publish(channels[0], BEGIN)
        with anyio.fail_after(PATIENCE):
            while await anext(hints) != Hint(channels[0], BEGIN):
                pass
        yield Heard(hints, notifier, channels[0])
