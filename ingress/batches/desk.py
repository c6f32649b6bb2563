"""What callers do with batches, each with their own; operators with everybody's."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import structlog

from common.errors import NotFoundError, RefusedError
from common.jobs.batch import cancel_batch, retry
from common.jobs.change import Change, Done
from common.jobs.head import Head
from common.jobs.ids import is_batch_id
from common.jobs.indexes import ALL_BATCHES, batches_index, rows_index
from common.jobs.rows import FAILED_SHARES
from common.jobs.state import JobState
from common.ledger import transact
from common.routing.rules import Rules
from common.runtime import Runtime
from ingress.batches.accept import AcceptBatch
from ingress.batches.again import RunAgain
from ingress.batches.drive import Driver
from ingress.batches.look import ERRORS_SHOWN, KINDS, Standing, look, newest_row_waits
from ingress.batches.making import MakeRow
from ingress.batches.results import Wanted, results_of
from ingress.caller import Caller
from ingress.operations.cancel import Cancel
from ingress.operations.fleet import FleetFeed
from ingress.operations.headroom import Headroom
from ingress.operations.submit import Submit

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BatchPage:
    batches: Sequence[Standing]
    cursor: str | None


class Batches:
    """Each raises: StoreUnreachableError: Nobody knows, or it cannot be done now."""

    def __init__(
        self, runtime: Runtime, fleet: FleetFeed, accept: AcceptBatch, driver: Driver
    ) -> None:
        self._runtime = runtime
        self._fleet = fleet
        self.driver = driver
        self.accept = accept

    async def run(self) -> None:
        """Drive them, until cancelled."""
        await self.driver.run()

    async def head(self, batch: str, caller: Caller) -> Head:
        """Raises: NotFoundError: Unknown, expired, or somebody else's: the same for all."""
        head = await self._runtime.store.get(batch) if is_batch_id(batch) else None
        if head is None or not head.is_batch or not _may_see(caller, head):
            raise NotFoundError(f"no batch {batch}")
        return head

    async def look(self, batch: str, caller: Caller) -> Standing:
        """Raises: NotFoundError: As `head`."""
        return await self.standing(await self.head(batch, caller))

    async def standing(self, head: Head) -> Standing:
        """Raises: NotFoundError: It was removed at this moment."""
        standing = await self._standing(head)
        if standing is None:
            raise NotFoundError(f"no batch {head.id}")
        if standing.stands_still and not standing.hindered:
            why = await newest_row_waits(self._runtime, await self._fleet.now(), head.id)
            return replace(standing, hindered=why)
        return standing

    async def list(self, caller: Caller, *, limit: int, cursor: str | None) -> BatchPage:
        """The newest first. Raises: ValueError: The cursor is none of ours."""
        index = ALL_BATCHES if caller.operator else batches_index(caller.name)
        page = await self._runtime.store.page(index, limit=limit, cursor=cursor)
        there = [head for head in page.heads if head.is_batch]
        standings = await asyncio.gather(*(self._standing(head, ERRORS_SHOWN) for head in there))
        return BatchPage([each for each in standings if each is not None], page.cursor)

    async def cancel(self, batch: str, caller: Caller) -> bool:
        """Nothing more begins; what is open is cancelled. False when it had ended already.

        Raises:
            NotFoundError: As `head`.
        """
        await self.head(batch, caller)
        reason, retention = f"cancelled by {caller.name}", self._runtime.retention

        def decide(head: Head) -> Change | None:
            return None if head.terminal else cancel_batch(head, reason, retention)

        done = await transact(self._runtime.store, batch, decide) is not None
        log.info("batch.cancelled", batch=batch, by=caller.name, done=done)
        while await self.driver.step(batch):
            pass
        return done

    async def retry(self, batch: str, caller: Caller, *, lost: bool) -> None:
        """What went wrong runs again, as room comes; a batch without any of that stays as it is.

        Raises:
            NotFoundError: As `head`; or its retention is over, and its rows are going.
            RefusedError: It was cancelled.
        """
        before = await self.head(batch, caller)
        shares = (*FAILED_SHARES, "lost") if lost else FAILED_SHARES
        wrong = any(await self._runtime.store.counts([rows_index(batch, each) for each in shares]))

        def decide(head: Head) -> Change | None:
            if head.state is JobState.CANCELLED:
                raise RefusedError(f"batch {batch} was cancelled: nothing of it runs again")
            if not wrong:
                return None
            return retry(head, lost=lost)

        answer = await transact(self._runtime.store, batch, decide)
        over = before.terminal and before.forget_at <= self._runtime.clock.now() * 1000
        if not wrong and not over:
            return
        if not isinstance(answer, Done):
            raise NotFoundError(f"no batch {batch}: its retention is over")
        log.info("batch.retried", batch=batch, by=caller.name, lost=lost)
        self.driver.wake(batch)

    async def results(
        self, batch: str, caller: Caller, wanted: Wanted, stopping: asyncio.Event
    ) -> AsyncIterator[bytes]:
        """Raises: NotFoundError: As `head`."""
        head = await self.head(batch, caller)
        return results_of(self._runtime, head.id, wanted, stopping)

    async def _standing(self, head: Head, kinds: int = KINDS) -> Standing | None:
        plan = await self.driver.plan(head.id)
        if plan is None:
            return None
        standing = await look(self._runtime, head, plan, kinds)
        running = head.state is JobState.RUNNING
        return replace(standing, hindered=self.driver.hindered(head.id) if running else "")


def _may_see(caller: Caller, head: Head) -> bool:
    return caller.operator or head.caller == caller.name


def build_batches(
    runtime: Runtime, rules: Rules, submit: Submit, headroom: Headroom, fleet: FleetFeed
) -> Batches:
    make, again = MakeRow(runtime, rules, submit), RunAgain(runtime, submit.window)
    driver = Driver(runtime, make, again, Cancel(runtime))
    return Batches(runtime, fleet, AcceptBatch(runtime, submit, headroom, driver), driver)
