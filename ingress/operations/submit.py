"""Submit: check a call, create its record, publish its token. The only publisher of new jobs."""

import asyncio

import structlog

from common.brokers.base import BrokerError
from common.catalogue import CatalogueTool
from common.errors import (
    InvalidCallError,
    LonghaulError,
    NotFoundError,
    RefusedError,
    StoreUnreachableError,
)
from common.jobs.change import AtLeast, Guard, Note, Refused, Room
from common.jobs.ids import new_job_id
from common.jobs.indexes import queue_index, state_index
from common.jobs.state import JobState
from common.jobs.token import Token, ToolRef
from common.jobs.transitions import Submission, submit
from common.routing.rules import Rules
from common.runtime import Runtime
from ingress.catalogue_feed import CatalogueFeed
from ingress.operations.arguments import ArgumentCheck
from ingress.operations.call_request import Accepted, CallRequest, submission_of
from ingress.operations.follow import Follower, Watch

log = structlog.get_logger(__name__)

FULL_RETRY_AFTER = 5.0  # seconds
_REFUSALS: dict[type[LonghaulError], str] = {
    NotFoundError: "unknown_tool",
    InvalidCallError: "arguments",
    RefusedError: "full",
    StoreUnreachableError: "store",
}


class Submit:
    def __init__(
        self, runtime: Runtime, lease: str, feed: CatalogueFeed, rules: Rules, follower: Follower
    ) -> None:
        self._runtime = runtime
        self._lease = lease
        self._feed = feed
        self._rules = rules
        self._follower = follower
        self._check_arguments = ArgumentCheck()
        self._publishing: set[asyncio.Task[None]] = set()

    def tool(self, name: str) -> CatalogueTool:
        """Raises: NotFoundError: Nobody offers such a tool."""
        tool = self._feed.current.tools.get(name)
        if tool is None:
            raise NotFoundError(f"Unknown tool: {name}")
        return tool

    async def accept(self, request: CallRequest) -> Accepted:
        """Durable when it returns: the id may be given out.

        Raises:
            NotFoundError: No such tool.
            InvalidCallError: Arguments against the schema; nothing was stored.
            RefusedError: The queue is full; nothing was stored.
            StoreUnreachableError: Nobody knows; no id was given out.
        """
        accepted, token = await self._create(request, None)
        await self._publish(accepted, token)
        return accepted

    async def hold(self, request: CallRequest, watch: Watch) -> Accepted:
        """As `accept`, for a caller that is held; it does not wait for the broker.

        Should this process die now, the reconciler publishes. The watch hears of the job from its
        first change on.
        """
        accepted, token = await self._create(request, watch)
        task = asyncio.create_task(self._publish(accepted, token))
        self._publishing.add(task)
        task.add_done_callback(self._publishing.discard)
        return accepted

    async def aclose(self) -> None:
        """Wait for publications under way; each is bounded."""
        await asyncio.gather(*self._publishing, return_exceptions=True)

    async def _create(self, request: CallRequest, watch: Watch | None) -> tuple[Accepted, Token]:
        metrics = self._runtime.metrics
        try:
            accepted, token = await self._admit(request, watch)
        except LonghaulError as error:
            metrics.refusals.labels(reason=_REFUSALS[type(error)]).inc()
            raise
        metrics.submissions.labels(tool=accepted.tool.name).inc()
        return accepted, token

    async def _admit(self, request: CallRequest, watch: Watch | None) -> tuple[Accepted, Token]:
        tool = self.tool(request.tool)
        self._check_arguments(tool, request.arguments)
        policy = self._rules.for_tool(tool.name, tool.backend, tool.backend_tool)
        job = new_job_id(round(self._runtime.clock.now() * 1000))
        accepted = Accepted.of(job, request, tool, policy)
        holder = "" if watch is None else self._lease
        watcher = "" if watch is None else self._follower.bind(watch, job)
        submission = submission_of(request, accepted, holder=holder, watcher=watcher)
        version = await self._store(accepted, submission)
        log.info(
            "job.submitted",
            job_id=job,
            request_id=request.request_id,
            tool=tool.name,
            queue=policy.queue,
            priority=accepted.priority,
        )
        ref = ToolRef(backend=tool.backend, tool=tool.backend_tool, version=tool.version)
        return accepted, Token(job=accepted.job, generation=1, version=version, tool=ref)

    async def _store(self, accepted: Accepted, submission: Submission) -> int:
        now = round(self._runtime.clock.now() * 1000)
        change = submit(submission, now, self._admission(accepted.policy.queue))
        answer = await self._runtime.store.commit(accepted.job, change, version=0)
        if isinstance(answer, Refused):
            raise RefusedError(
                f"queue {accepted.policy.queue} is full; nothing was stored",
                retry_after=FULL_RETRY_AFTER,
            )
        return answer.version

    def _admission(self, queue: str) -> tuple[Guard, ...]:
        guards: list[Guard] = []
        settings = self._runtime.settings
        limits = settings.queues.get(queue)
        if limits is not None and limits.max_waiting is not None:
            guards.append(Room(queue_index(queue), limits.max_waiting))
        if self._runtime.broker.unreachable_since is not None:
            guards.append(Room(state_index(JobState.QUEUED), settings.max_unpublished))
        return tuple(guards)

    async def _publish(self, accepted: Accepted, token: Token) -> None:
        """Best effort: what is not noted as confirmed is published again when it is due."""
        try:
            await self._runtime.broker.publish(accepted.policy.queue, token, accepted.priority)
            if not self._follower.ended(token.job):
                confirmed = Note(fields={"confirmed": AtLeast(token.generation)})
                await self._runtime.store.note(token.job, confirmed)
        except (BrokerError, StoreUnreachableError) as error:
            log.warning("job.unconfirmed", job_id=token.job, error=str(error))
