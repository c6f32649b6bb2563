"""Where a job stands, as its caller is told: in a heartbeat's words, or as a task."""

from common.errors import StoreUnreachableError
from common.jobs.head import Head
from common.jobs.indexes import queue_index
from common.jobs.questions import open_requests
from common.jobs.state import JobState
from common.runtime import Runtime
from ingress.mcp.progress import describe
from ingress.mcp.task_views import Status, TaskView, status_of, view
from ingress.operations.durations import Durations
from ingress.operations.respond import Respond


class Standing:
    def __init__(self, runtime: Runtime, respond: Respond, durations: Durations) -> None:
        self._runtime = runtime
        self._respond = respond
        self._durations = durations

    def now(self) -> int:
        """Milliseconds, as records count them."""
        return round(self._runtime.clock.now() * 1000)

    def status(self, head: Head) -> Status:
        return status_of(head, self.now())

    async def task(self, head: Head) -> TaskView:
        """Raises: StoreUnreachableError."""
        if head.terminal:
            self._durations.saw(head)
        position = await self._position(head)
        asked = await self._respond.open_round(head)
        return view(
            head,
            now=self.now(),
            position=position,
            retention=self._runtime.retention,
            requests={} if asked is None else open_requests(asked),
            expected=self._durations.of(head.tool),
        )

    async def words(self, head: Head, began: float) -> str:
        """For a caller that waits since `began`, on the monotonic clock.

        Raises:
            StoreUnreachableError: Nobody knows.
        """
        waited = self._runtime.clock.monotonic() - began
        return describe(head, await self._position(head), waited, self.now())

    async def heartbeat(self, job: str, began: float) -> str:
        """As `words`, whatever the store does."""
        try:
            head = await self._runtime.store.get(job)
            return "" if head is None else await self.words(head, began)
        except StoreUnreachableError:
            return "waiting; the store does not answer"

    async def _position(self, head: Head) -> int | None:
        if head.state not in {JobState.QUEUED, JobState.HELD} or head.run_at > self.now():
            return None
        return await self._runtime.store.rank(queue_index(head.queue), head.id)
