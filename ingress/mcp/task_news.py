"""Who listens for tasks hears of each change, until the task has ended: `notifications/tasks`."""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from mcp.shared.exceptions import MCPError

from common.clock import Clock
from common.errors import StoreUnreachableError
from common.jobs.head import Head
from common.jobs.state import JobState
from common.jobs.transitions import LEASE_MS
from ingress.caller import Caller
from ingress.mcp.task_views import ended
from ingress.mcp.tasks import Tasks
from ingress.operations.follow import Follower, Watch

MOST = 1_000  # tasks that one stream hears of
PACE = 1.0  # seconds between two notifications of one task's progress
AGAIN = 1.0  # seconds, while the store is away

Say = Callable[[dict[str, Any]], Awaitable[None]]


class TaskNews:
    def __init__(self, tasks: Tasks, follower: Follower, clock: Clock) -> None:
        self._tasks = tasks
        self._follower = follower
        self._clock = clock

    async def known(self, wanted: Sequence[object], caller: Caller) -> list[str]:
        """Those of the ids that are tasks of the caller, each once; no more than a stream may hear.

        Raises:
            StoreUnreachableError: Nobody knows.
        """
        found: list[str] = []
        for task in list(dict.fromkeys(each for each in wanted if isinstance(each, str)))[:MOST]:
            try:
                found.append((await self._tasks.find({"taskId": task}, caller)).id)
            except MCPError:
                continue  # for who asks there is no such task: it is not acknowledged
        return found

    async def tell(self, task: str, caller: Caller, say: Say) -> None:
        """How the task stands now, and after each change, until it has ended or expired."""
        while True:
            try:
                async with self._follower.follow(task, everything=True) as watch:
                    await self._tell(task, caller, watch, say)
            except StoreUnreachableError:
                await self._clock.sleep(AGAIN)
            else:
                return

    async def _tell(self, task: str, caller: Caller, watch: Watch, say: Say) -> None:
        said: object = None
        said_at = -math.inf
        while True:
            try:
                head = await self._tasks.find({"taskId": task}, caller)
            except MCPError:
                return
            status = self._tasks.status(head)
            if said != (said := (head.version, head.progress_at, status)):
                await say(await self._tasks.detailed(head))
                said_at = self._clock.monotonic()
            if ended(status):
                self._tasks.note_told(head)
                return
            await self._news(head, watch, said_at)

    async def _news(self, head: Head, watch: Watch, said_at: float) -> None:
        """Until there is something to say: a change at once, progress at its pace."""
        if head.state is JobState.LOST:  # told when it is sure that no late finish comes
            await self._clock.sleep(max(0, head.lost_at + LEASE_MS - self._tasks.now()) / 1000)
            return
        speak_at: float | None = None
        while True:
            patience = None if speak_at is None else max(0.0, speak_at - self._clock.monotonic())
            hint = await watch.next(patience)
            if hint is None or hint.kind == "state":
                return
            if hint.kind == "progress" and speak_at is None:
                speak_at = said_at + PACE
