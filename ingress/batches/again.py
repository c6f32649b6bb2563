"""A row's further turn: what went wrong and was asked for again is queued once more."""

import asyncio
from collections.abc import Sequence

from common.jobs.batch import Plan
from common.jobs.change import Change, Done, Refused, Window
from common.jobs.head import Head
from common.jobs.indexes import rows_index
from common.jobs.rows import FAILED_SHARES, is_asked_for, run_again
from common.publishing import publish_token, token_of
from common.releasing import ReleaseWindow
from common.runtime import Runtime


class RunAgain:
    def __init__(self, runtime: Runtime, window: ReleaseWindow) -> None:
        self._runtime = runtime
        self._window = window

    async def failed(self, batch: Head, count: int) -> Sequence[Head]:
        """Rows that the newest retry asked for and that did not begin again yet.

        Raises:
            StoreUnreachableError.
        """
        before = dict.fromkeys(FAILED_SHARES, batch.rerun_before)
        before["lost"] = batch.rerun_lost_before
        places = await asyncio.gather(
            *(
                self._runtime.store.places(
                    rows_index(batch.id, share), limit=count, until=float(at), newest_first=False
                )
                for share, at in before.items()
            )
        )
        ids = [row for some in places for _, row in some]
        rows = await self._runtime.store.heads(ids[:count])
        return [row for row in rows if row is not None]

    async def __call__(self, batch: Head, plan: Plan, row: Head) -> bool:
        """False when it has moved on, or as many rows are open as may be.

        Raises:
            StoreUnreachableError: Nobody knows; it may be repeated.
        """
        if row.newer or not is_asked_for(row, batch):
            return False
        most = plan.in_flight
        limit = self._window.limit(row.queue)
        answer = await self._commit(row, run_again(row, in_flight=most, limit=limit))
        held = isinstance(answer, Refused) and answer.guard == Window.__name__
        if held:  # as many of its batch wait at the broker as may
            answer = await self._commit(row, run_again(row, in_flight=most, limit=None))
        if not isinstance(answer, Done):
            return False
        self._runtime.metrics.rows_run_again.inc()
        if held:
            self._window.kick(row.queue, row.window, row.tool)
        else:
            token = token_of(row, generation=row.generation + 1, version=answer.version)
            await publish_token(self._runtime, row, token)
        return True

    async def _commit(self, row: Head, change: Change) -> Done | Refused:
        return await self._runtime.store.commit(row.id, change, version=row.version)
