"""`MemoryNotifier`: hints between the parts of one process."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from common.notifier.base import Gap, Hint

KEPT = 10_000  # hints that wait for one listener; one that is slower loses them and sees a Gap


class MemoryNotifier:
    def __init__(self) -> None:
        self._listeners: dict[str, set[_Listener]] = {}

    def tell(self, channel: str, payload: bytes) -> None:
        """Publish without waiting; on the event loop's own thread."""
        for listener in self._listeners.get(channel, ()):
            listener.put(Hint(channel, payload))

    async def publish(self, channel: str, payload: bytes) -> None:
        self.tell(channel, payload)

    @asynccontextmanager
    async def listen(self, channels: Sequence[str]) -> AsyncIterator[AsyncIterator[Hint | Gap]]:
        listener = _Listener()
        for channel in channels:
            self._listeners.setdefault(channel, set()).add(listener)
        try:
            yield listener
        finally:
            for channel in set(channels):
                listeners = self._listeners[channel]
                listeners.discard(listener)
                if not listeners:
                    del self._listeners[channel]

    async def aclose(self) -> None:
        """Nothing is kept open."""


class _Listener:
    """Hints on their way to one listener, in order."""

    def __init__(self) -> None:
        self._hints: deque[Hint | Gap] = deque([Gap()])
        self._some = asyncio.Event()
        self._some.set()

    def put(self, hint: Hint) -> None:
        if len(self._hints) >= KEPT:
            self._hints.clear()
            self._hints.append(Gap())
        self._hints.append(hint)
        self._some.set()

    def __aiter__(self) -> "_Listener":
        return self

    async def __anext__(self) -> Hint | Gap:
        while not self._hints:
            self._some.clear()
            await self._some.wait()
        return self._hints.popleft()
