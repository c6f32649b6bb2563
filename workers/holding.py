"""A delivery together with the slot it takes: both are given back once, with the ack."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from common.brokers.base import Delivery


class Held:
    """A `Delivery`; acking it again does nothing.

    `room` has a place for each slot of its queue, which a job has for as long as it runs.
    """

    def __init__(
        self,
        delivery: Delivery,
        give_back: Callable[[], None],
        room: asyncio.Semaphore | None = None,
    ) -> None:
        self._delivery = delivery
        self._give_back: Callable[[], None] | None = give_back
        self._room = room
        self._taken: asyncio.Semaphore | None = None  # the room in which it has a slot

    async def take_room(self, seconds: float) -> bool:
        """A slot, within so many seconds.

        One is free, unless jobs that were taken before a pause still have theirs.
        """
        if self._room is None or self._taken is not None:
            return True
        with suppress(TimeoutError):
            if self._room.locked():
                async with asyncio.timeout(seconds):
                    await self._room.acquire()
            else:  # without a timer: it does not wait
                await self._room.acquire()
            self._taken = self._room
        return self._taken is not None

    def stand_in_for(self, before: "Held") -> None:
        """The job of that one goes on with this one, in the slot that it has."""
        if self._taken is None:
            self._taken = before.hand_on_room()

    def hand_on_room(self) -> asyncio.Semaphore | None:
        """The room in which it has a slot, and has it no longer; None: it had none."""
        taken, self._taken = self._taken, None
        return taken

    @property
    def queue(self) -> str:
        return self._delivery.queue

    @property
    def raw(self) -> bytes:
        return self._delivery.raw

    @property
    def published_at(self) -> float:
        return self._delivery.published_at

    @property
    def priority(self) -> int:
        return self._delivery.priority

    @property
    def redelivered(self) -> bool:
        return self._delivery.redelivered

    async def ack(self) -> None:
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()
            if (taken := self.hand_on_room()) is not None:
                taken.release()
            await self._delivery.ack()
