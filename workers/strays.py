"""Strays: jobs that the record says this worker runs, and it does not.

One is left where something went wrong that nobody expected, between the claim and the settlement.
Its owner lives, so nobody else may settle it, and it would be `running` for ever.
"""

from collections.abc import Container

import structlog

from common.errors import StoreUnreachableError
from common.jobs.head import Head
from common.jobs.indexes import owner_index
from common.runtime import Runtime
from workers.outcome import Vanished
from workers.settlement import Settlement, ours

log = structlog.get_logger(__name__)

EVERY = 10.0  # seconds between two looks
TAKEN = 500  # jobs at one look


class Strays:
    """`running` has the ids of what this worker really runs."""

    def __init__(
        self, runtime: Runtime, lease: str, running: Container[str], settlement: Settlement
    ) -> None:
        self._runtime = runtime
        self._lease = lease
        self._running = running
        self._settlement = settlement
        self._seen: frozenset[tuple[str, int]] = frozenset()  # at the last look, with its claim

    async def run(self) -> None:
        while True:
            await self._runtime.clock.sleep(EVERY)
            try:
                await self.look()
            except StoreUnreachableError as error:
                log.info("strays.not_seen", error=str(error))

    async def look(self) -> None:
        """Settle what was a stray at the last look already: a claim's reply may be under way.

        Raises:
            StoreUnreachableError: The next look sees them again.
        """
        page = await self._runtime.store.page(owner_index(self._lease), limit=TAKEN)
        strays = [head for head in page.heads if head.id not in self._running and ours(head, head)]
        seen, self._seen = self._seen, frozenset((head.id, head.claims) for head in strays)
        for head in strays:
            if (head.id, head.claims) in seen:
                await self._settle(head)

    async def _settle(self, head: Head) -> None:
        log.error("job.stray", job_id=head.id, claim=head.claims)
        try:
            await self._settlement.settle(head, Vanished("its worker lost track of it"))
        except Exception:  # the boundary of one record: the others, and the worker, go on
            log.exception("job.not_settled", job_id=head.id)
