"""Orders: what a worker hears about the jobs it runs. A cancel ends the run at the backend."""

from collections.abc import Mapping

import structlog

from common.errors import StoreUnreachableError
from common.jobs.state import JobState
from common.notifier.base import Gap, Hint, worker_channel
from common.notifier.hints import decode_hint
from common.runtime import Runtime
from workers.runs import Run
from workers.settlement import ours

log = structlog.get_logger(__name__)


class Orders:
    def __init__(self, runtime: Runtime, lease: str, running: Mapping[str, Run]) -> None:
        self._runtime = runtime
        self._lease = lease
        self._running = running

    async def run(self) -> None:
        channel = worker_channel(self._lease)
        async with self._runtime.notifier.listen([channel]) as hints:
            async for hint in hints:
                match hint:
                    case Gap():
                        await self.look()
                    case Hint(payload=payload):
                        job = decode_hint(payload)
                        if job.state == JobState.CANCELLED:
                            self._stop(job.job)
                        elif (run := self._running.get(job.job)) is not None:
                            run.news.set()

    async def look(self) -> None:
        """Read the record of everything that runs: an order may have been missed."""
        for job in tuple(self._running):
            try:
                head = await self._runtime.store.get(job)
            except StoreUnreachableError:
                return
            run = self._running.get(job)
            if head is None or run is None:
                continue
            run.news.set()
            if head.still_running:
                self._stop(job)
            elif not ours(run.head, head):
                run.claim_gone()

    def _stop(self, job: str) -> None:
        run = self._running.get(job)
        if run is not None:
            log.info("job.stopping", job_id=job)
            run.stop()
