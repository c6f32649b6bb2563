"""The driver: does what a batch needs next. There is one in each ingress, and any number may run.

It is woken by the ends of rows, and at the latest by the due sweep. What it does is repeatable: a
row's id is its number, every change is a guarded commit, and whoever comes second is refused.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import structlog

from common.errors import LonghaulError
from common.jobs import batch as steps
from common.jobs.batch import Cursor, Plan, decode_plan, next_step
from common.jobs.change import BATCHES, Change, Done
from common.jobs.head import Head
from common.jobs.indexes import rows_index
from common.jobs.rows import OPEN
from common.jobs.state import JobState
from common.jobs.transitions import CALL
from common.notifier.base import Hint, ingress_channel
from common.notifier.hints import decode_hint
from common.runtime import Runtime
from ingress.batches.again import RunAgain
from ingress.batches.documents import RowReader
from ingress.batches.making import MakeRow
from ingress.operations.cancel import Cancel

log = structlog.get_logger(__name__)

PAUSE = 0.03  # seconds: ends that come together are looked at together
LEAVE = 1.0  # seconds: another ingress was faster, and goes on as long as it lives
CANCELLED_AT_ONCE = 100
KEPT = 256  # plans, which never change, and what hinders batches: in memory

T = TypeVar("T")


class Driver:
    def __init__(self, runtime: Runtime, make: MakeRow, again: RunAgain, cancel: Cancel) -> None:
        self._runtime = runtime
        self._make = make
        self._again = again
        self._cancel = cancel
        self._reader = RowReader(runtime)
        self._plans: dict[str, Plan] = {}
        self._woken: set[str] = set()
        self._left: set[str] = set()  # batches that another one drives, it seems
        self._hindered: dict[str, str] = {}  # batches whose newest step failed, and why
        self._driving: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Until cancelled. What it misses is due again a few seconds later."""
        async with (
            asyncio.TaskGroup() as self._group,
            self._runtime.notifier.listen([ingress_channel(BATCHES)]) as hints,
        ):
            async for hint in hints:
                if isinstance(hint, Hint):
                    self.wake(decode_hint(hint.payload).job.partition(".")[0])

    def wake(self, batch: str) -> None:
        """Somebody looks at it soon."""
        self._woken.add(batch)
        if batch not in self._driving and self._group is not None:
            self._driving[batch] = self._group.create_task(self._drive(batch))

    async def plan(self, batch: str) -> Plan | None:
        """What was asked for; None of what is no batch (any more)."""
        plan = self._plans.get(batch)
        if plan is None:
            raw = await self._runtime.store.part(batch, CALL)
            if raw is None:
                return None
            plan = decode_plan(raw)
            _keep(self._plans, batch, plan)
        return plan

    def hindered(self, batch: str) -> str:
        """Why it cannot go on now, as far as is known here; empty: it can."""
        return self._hindered.get(batch, "")

    async def _drive(self, batch: str) -> None:
        try:
            while batch in self._woken:
                self._woken.discard(batch)
                while await self.step(batch):
                    pass
                self._hindered.pop(batch, None)
                await self._runtime.clock.sleep(LEAVE if batch in self._left else PAUSE)
                self._left.discard(batch)
        except LonghaulError as error:
            if self.hindered(batch) != str(error):  # not at the end of each row
                log.info("batch.waits", batch=batch, error=str(error))
            _keep(self._hindered, batch, str(error))
        except Exception:  # boundary: one odd batch must not end the others
            log.exception("batch.broken", batch=batch)
        finally:
            self._woken.discard(batch)
            self._left.discard(batch)
            del self._driving[batch]

    async def step(self, batch: str) -> bool:
        """The next thing; whether there may be another one right now.

        Raises:
            LonghaulError: It cannot be done now; the batch is due again in a few seconds.
        """
        head, plan, open_rows = await asyncio.gather(
            self._runtime.store.get(batch),
            self.plan(batch),
            self._runtime.store.count(rows_index(batch, OPEN)),
        )
        if head is None or plan is None or head.newer or not head.is_batch:
            return False
        match next_step(head, plan, open_rows):
            case steps.Create(count=count):
                return await self._create(head, plan, count)
            case steps.RunAgain(count=count):
                return await self._run_again(head, plan, count)
            case steps.CancelRows():
                return await self._cancel_rows(head)
            case steps.Finish():
                return await self._commit(head, steps.finish(head, self._runtime.retention))
            case steps.SettleDown() if head.state is JobState.CANCELLED:
                await self._commit(head, steps.settle_down(head))
        return False

    async def _create(self, head: Head, plan: Plan, count: int) -> bool:
        rows, cursor = await self._reader.read(head.id, plan, Cursor.of(head), count)
        await all_done(*(self._make(head, plan, row) for row in rows))
        made = await self._commit(head, steps.advance(head, cursor))
        if not made:
            self._left.add(head.id)
        return made

    async def _run_again(self, head: Head, plan: Plan, count: int) -> bool:
        rows = await self._again.failed(head, count)
        if not rows:
            await self._commit(head, steps.close_rerun(head))
            return True
        return any(await all_done(*(self._again(head, plan, row) for row in rows)))

    async def _cancel_rows(self, head: Head) -> bool:
        places = await self._runtime.store.places(
            rows_index(head.id, OPEN), limit=CANCELLED_AT_ONCE, newest_first=False
        )
        # None of them: they ended meanwhile, or a newer release's look after them.
        return any(await all_done(*(self._cancel.cancel(row, head.reason) for _, row in places)))

    async def _commit(self, head: Head, change: Change) -> bool:
        """False when another one was faster, or a row still stands in the way."""
        answer = await self._runtime.store.commit(head.id, change, version=head.version)
        done = isinstance(answer, Done)
        if done and change.name != "advanced":
            log.info("batch.moved", batch=head.id, change=change.name)
        return done


def _keep(kept: dict[str, T], batch: str, what: T) -> None:
    kept.pop(batch, None)
    kept[batch] = what
    while len(kept) > KEPT:
        kept.pop(next(iter(kept)))


async def all_done(*parts: Coroutine[Any, Any, T]) -> Sequence[T]:
    """What came of all of them, side by side; or the first error, once none is under way."""
    answers: list[T] = []
    for each in await asyncio.gather(*parts, return_exceptions=True):
        if isinstance(each, BaseException):
            raise each
        answers.append(each)
    return answers
