"""What operators order about a queue: a pause, and its end."""

import secrets

import structlog

from common.errors import NotFoundError
from common.store.standing import Order
from ingress.ingress import Ingress
from ingress.operations.survey import queue_names

log = structlog.get_logger(__name__)


async def pause(ingress: Ingress, queue: str, by: str) -> None:
    """No worker starts anything of it; its jobs wait, new ones too. What runs goes on.

    Raises:
        NotFoundError: Nobody knows such a queue.
        StoreUnreachableError: Perhaps it was ordered.
    """
    fleet = await ingress.fleet.now()
    if queue not in queue_names(ingress.rules, ingress.feed.current, fleet):
        raise NotFoundError(f"no queue {queue}")
    store = ingress.runtime.store
    order = Order(id=secrets.token_hex(6), by=by, at=await store.now())
    await store.orders.give(queue, "paused", order)
    log.info("queue.pause_ordered", queue=queue, by=by)
    ingress.fleet.forget()


async def resume(ingress: Ingress, queue: str, by: str) -> None:
    """Raises: NotFoundError: It is not paused, and nobody knows it. StoreUnreachableError."""
    known = queue_names(ingress.rules, ingress.feed.current, await ingress.fleet.now())
    if not await ingress.runtime.store.orders.lift(queue, "paused") and queue not in known:
        raise NotFoundError(f"no queue {queue}")
    log.info("queue.resume_ordered", queue=queue, by=by)
    ingress.fleet.forget()
