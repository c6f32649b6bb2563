"""A delivery together with the slot it takes: both are given back once, with the ack."""

from collections.abc import Callable

from common.brokers.base import Delivery


class Held:
    """A `Delivery`; acking it again does nothing."""

    def __init__(self, delivery: Delivery, give_back: Callable[[], None]) -> None:
        self._delivery = delivery
        self._give_back: Callable[[], None] | None = give_back

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
            await self._delivery.ack()
