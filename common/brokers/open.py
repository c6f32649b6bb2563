"""The one place that knows which broker a URL names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit

from common.brokers.base import Broker
from common.brokers.memory import MemoryBroker
from common.brokers.rabbitmq.broker import open_rabbit
from common.clock import Clock


@asynccontextmanager
async def open_broker(
    url: str,
    *,
    namespace: str,
    queue_type: Literal["auto", "classic", "quorum"],
    clock: Clock,
) -> AsyncIterator[Broker]:
    """The broker behind `LONGHAUL_BROKER_URL`: `memory:`, `amqp://…` or `amqps://…`.

    A broker that is down does not raise: it is tried again in the background, and
    `unreachable_since` tells.

    Raises:
        ValueError: No broker has such a URL.
    """
    match urlsplit(url).scheme:
        case "memory":
            broker = MemoryBroker(clock)
            try:
                yield broker
            finally:
                await broker.aclose()
        case "amqp" | "amqps":
            async with open_rabbit(
                url, namespace=namespace, queue_type=queue_type, clock=clock
            ) as rabbit:
                yield rabbit
        case scheme:
            raise ValueError(
                f"no broker for a URL that begins with {scheme + ':' if scheme else 'no scheme'!r}:"
                " write memory:, amqp://… or amqps://…"
            )
