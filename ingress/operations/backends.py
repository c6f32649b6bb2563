"""What operators order about a backend, and what it wrote to stderr."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from common.errors import NotFoundError
from common.notifier.base import Hint, asking_channel, reply_channel
from common.store.standing import Order
from common.wire import dump_json, load_json
from ingress.ingress import Ingress
from ingress.operations.fleet import Process

log = structlog.get_logger(__name__)

PATIENCE = 3.0  # seconds for workers to answer


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLog:
    worker: Process
    lines: Sequence[str] | None  # None: it did not answer


async def disable(ingress: Ingress, backend: str, by: str) -> None:
    """No more calls go to it; its jobs wait. Those that run go on.

    Raises:
        NotFoundError: Nobody knows such a backend.
        StoreUnreachableError: Perhaps it was ordered.
    """
    await _known(ingress, backend)
    await ingress.runtime.store.orders.give(backend, "disabled", await _order(ingress, by))
    log.info("backend.disable_ordered", backend=backend, by=by)
    ingress.fleet.forget()


async def enable(ingress: Ingress, backend: str, by: str) -> None:
    """Raises: NotFoundError, StoreUnreachableError: As `disable`."""
    await _known(ingress, backend)
    await ingress.runtime.store.orders.lift(backend, "disabled")
    log.info("backend.enable_ordered", backend=backend, by=by)
    ingress.fleet.forget()


async def restart(ingress: Ingress, backend: str, by: str, *, at_once: bool) -> None:
    """Every replica starts afresh: one after the other once its calls have ended, or all now.

    Raises:
        NotFoundError, StoreUnreachableError: As `disable`.
    """
    await _known(ingress, backend)
    order = await _order(ingress, by, at_once=at_once)
    await ingress.runtime.store.orders.give(backend, "restart", order)
    log.info("backend.restart_ordered", backend=backend, by=by, at_once=at_once)


async def logs(ingress: Ingress, backend: str, lines: int) -> Sequence[WorkerLog]:
    """The last lines that the backend's processes wrote to stderr, from each live worker.

    Raises:
        NotFoundError, StoreUnreachableError: As `disable`.
    """
    await _known(ingress, backend)
    fleet = await ingress.fleet.now()
    workers = [each for each in fleet.workers if any(b.name == backend for b in each.backends)]
    notifier, reply = ingress.runtime.notifier, secrets.token_hex(8)
    asked = dump_json({"backend": backend, "lines": lines, "reply": reply})
    answers: dict[str, list[str]] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE), notifier.listen([reply_channel(reply)]) as hints:
            for worker in workers:
                await notifier.publish(asking_channel(worker.lease), asked)
            while len(answers) < len(workers):
                hint = await anext(hints)
                if isinstance(hint, Hint):
                    said = load_json(hint.payload)
                    answers[said["worker"]] = said["lines"]
    return [WorkerLog(worker=each, lines=answers.get(each.lease)) for each in workers]


async def _order(ingress: Ingress, by: str, *, at_once: bool = False) -> Order:
    now = await ingress.runtime.store.now()
    return Order(id=secrets.token_hex(6), by=by, at=now, at_once=at_once)


async def _known(ingress: Ingress, backend: str) -> None:
    settings, catalogue = ingress.runtime.settings, ingress.feed.current
    fleet = await ingress.fleet.now()
    known = {each.name for each in settings.backends}
    known |= {entry.backend for entry in catalogue.entries} | fleet.orders.keys()
    known |= {each.name for worker in fleet.workers for each in worker.backends}
    if backend not in known:
        raise NotFoundError(f"no backend {backend}")
