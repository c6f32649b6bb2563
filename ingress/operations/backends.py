"""What operators order about a backend, and what it wrote to stderr."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from common.errors import TOOL_GONE, NotFoundError, StillServedError
from common.jobs.change import Change, Done
from common.jobs.endings import fail
from common.jobs.head import Head
from common.jobs.indexes import state_index
from common.jobs.state import JobState
from common.ledger import transact
from common.notifier.base import Hint, asking_channel, reply_channel
from common.store.standing import Order, OrderKind
from common.wire import dump_json, load_json
from ingress.ingress import Ingress
from ingress.operations.fleet import Process

log = structlog.get_logger(__name__)

PATIENCE = 3.0  # seconds for workers to answer
PAGE = 200  # records looked at at once
_WAITING = (JobState.HELD, JobState.QUEUED, JobState.WAITING, JobState.INPUT_REQUIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLog:
    worker: Process
    lines: Sequence[str] | None  # None: it did not answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    tools: int  # that left the catalogue
    failed: int  # jobs that waited


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


async def forget(ingress: Ingress, backend: str, by: str) -> Forgotten:
    """Its tools leave the catalogue, its orders go, and its jobs that wait fail: no tool, no end.

    Asked again it fails what came in between, through an ingress that had not heard yet.

    Raises:
        StillServedError: A live worker runs it, and would not list its tools anew.
        NotFoundError: Nothing is left of such a backend.
        StoreUnreachableError: Perhaps some of it was done.
    """
    ingress.fleet.forget()
    store, fleet = ingress.runtime.store, await ingress.fleet.now()
    if workers := [w for w in fleet.workers if any(b.name == backend for b in w.backends)]:
        where = ", ".join(f"{each.lease} on {each.host}" for each in workers)
        raise StillServedError(
            f"backend {backend} is run by {where}; take it out of the configuration there first"
        )
    tools = [each for each in ingress.feed.current.tools.values() if each.backend == backend]
    known = await store.forget(backend)
    ingress.feed.refresh_soon()
    kinds: tuple[OrderKind, ...] = ("disabled", "restart")
    for kind in kinds:
        known = await store.orders.lift(backend, kind) or known
    failed = await _fail_waiting(ingress, backend, by)
    if not (known or failed):
        raise NotFoundError(f"no backend {backend}")
    log.info("backend.forgotten", backend=backend, by=by, tools=len(tools), failed=failed)
    ingress.fleet.forget()
    return Forgotten(tools=len(tools), failed=failed)


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


async def _fail_waiting(ingress: Ingress, backend: str, by: str) -> int:
    """End what would wait for ever; how many jobs that were."""
    store, retention = ingress.runtime.store, ingress.runtime.retention
    error = {"code": TOOL_GONE, "message": f"its backend {backend} was forgotten by {by}"}

    def decide(head: Head) -> Change | None:
        gone = head.spec.backend == backend and head.state in _WAITING and not head.owner
        return fail(head, error, retention) if gone and not head.newer else None

    async def ended(head: Head) -> bool:
        return isinstance(await transact(store, head.id, decide, head=head), Done)

    count = 0
    for state in _WAITING:
        cursor: str | None = None
        while True:
            page = await store.page(state_index(state), limit=PAGE, cursor=cursor)
            theirs = [head for head in page.heads if head.spec.backend == backend]
            count += sum(await asyncio.gather(*map(ended, theirs)))
            cursor = page.cursor
            if cursor is None:
                break
    return count


async def _order(ingress: Ingress, by: str, *, at_once: bool = False) -> Order:
    now = await ingress.runtime.store.now()
    return Order(id=secrets.token_hex(6), by=by, at=now, at_once=at_once)


async def _known(ingress: Ingress, backend: str) -> None:
    settings, catalogue = ingress.runtime.settings, ingress.feed.current
    fleet = await ingress.fleet.now()
    known = {each.name for each in settings.backends}
    known |= {entry.backend for entry in catalogue.entries}
    known |= {name for name, each in fleet.orders.items() if each.disabled or each.restart}
    known |= {each.name for worker in fleet.workers for each in worker.backends}
    if backend not in known:
        raise NotFoundError(f"no backend {backend}")
