"""Submit: check a call, create its record, publish its token. The only publisher of new jobs."""

import asyncio
from dataclasses import replace

import structlog

from common.blobs.calls import put_apart
from common.brokers.base import BrokerError
from common.catalogue import CatalogueTool
from common.errors import (
    BlobsUnreachableError,
    CallbackRefusedError,
    InvalidCallError,
    KeyConflictError,
    LonghaulError,
    NotFoundError,
    RefusedError,
    StoreUnreachableError,
)
from common.jobs.change import (
    AtLeast,
    Change,
    Done,
    Free,
    Guard,
    Refused,
    Replays,
    Room,
    Unique,
    Window,
)
from common.jobs.held import creation
from common.jobs.ids import new_job_id
from common.jobs.indexes import ALL, queue_index, state_index
from common.jobs.state import JobState
from common.jobs.token import Token, ToolRef
from common.ledger import ROUNDS, ContendedError
from common.releasing import ReleaseWindow
from common.routing.rules import Rules
from common.runtime import Runtime
from ingress.callbacks.resolving import Resolver
from ingress.catalogue_feed import CatalogueFeed
from ingress.operations.arguments import ArgumentCheck
from ingress.operations.attach import Attach, Joined
from ingress.operations.call_request import Accepted, CallRequest, submission_of
from ingress.operations.follow import Follower, Watch
from ingress.operations.headroom import RETRY_AFTER, Headroom
from ingress.operations.jottings import Jottings
from ingress.operations.repeat import Repeat
from ingress.operations.sameness import only_one

log = structlog.get_logger(__name__)

FULL_RETRY_AFTER = 5.0  # seconds
_REFUSALS: dict[type[LonghaulError], str] = {
    NotFoundError: "unknown_tool",
    InvalidCallError: "arguments",
    CallbackRefusedError: "callback",
    KeyConflictError: "key",
    RefusedError: "full",
    StoreUnreachableError: "store",
    BlobsUnreachableError: "blobs",
    ContendedError: "contended",
}


class Submit:
    def __init__(
        self,
        runtime: Runtime,
        lease: str,
        feed: CatalogueFeed,
        rules: Rules,
        follower: Follower,
        jottings: Jottings,
        headroom: Headroom,
        resolver: Resolver,
    ) -> None:
        self._runtime = runtime
        self._lease = lease
        self._feed = feed
        self._rules = rules
        self._follower = follower
        self._jottings = jottings
        self._attach = Attach(runtime, follower)
        self._repeat = Repeat(runtime, follower)
        self._check_arguments = ArgumentCheck()
        self._headroom = headroom
        self.resolver = resolver
        self.window = ReleaseWindow(runtime)
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
            CallbackRefusedError: Its callback may not be asked; nothing was stored.
            KeyConflictError: Its idempotency key is another call's; nothing was stored.
            RefusedError: The queue is full; nothing was stored.
            StoreUnreachableError: Nobody knows; no id was given out.
        """
        accepted, token = await self._create(request, None, held=False)
        if token is not None:
            await self.publish(accepted, token)
        return accepted

    def check(self, request: CallRequest) -> None:
        """Raises: NotFoundError, InvalidCallError: As `accept` would; nothing is stored here."""
        self._check_arguments(self.tool(request.tool), request.arguments)

    async def replay(self, request: CallRequest) -> tuple[str, bool]:
        """The job that the letter `request.replay_of` runs again as, and whether this made it.

        Raises:
            NotFoundError: No such tool, or the letter is none (any more).
            InvalidCallError, RefusedError, StoreUnreachableError: As `accept`.
        """
        accepted, token = await self._create(request, None, held=False)
        if token is not None:
            await self.publish(accepted, token)
        return accepted.job, accepted.new

    async def take(self, request: CallRequest, watch: Watch) -> Accepted:
        """As `accept`, but it does not wait for the broker: should this process die now, the
        reconciler publishes. The watch hears of the job from its first change on.
        """
        accepted, token = await self._create(request, watch, held=False)
        self._publish_soon(accepted, token)
        return replace(accepted, given_out=True)

    async def hold(self, request: CallRequest, watch: Watch) -> Accepted:
        """As `take`, for a caller that is held until its answer or the job's id is given out."""
        accepted, token = await self._create(request, watch, held=True)
        self._publish_soon(accepted, token)
        return accepted

    async def aclose(self) -> None:
        """Wait for publications under way; each is bounded."""
        await asyncio.gather(*self._publishing, return_exceptions=True)
        await self._jottings.aclose()

    async def _create(
        self, request: CallRequest, watch: Watch | None, *, held: bool
    ) -> tuple[Accepted, Token | None]:
        """What was accepted, and the token of a new job: one that was attached to has its own."""
        metrics = self._runtime.metrics
        try:
            tool = self.tool(request.tool)
            self._check_arguments(tool, request.arguments)
            policy = self._rules.for_tool(tool.name, tool.backend, tool.backend_tool)
            if request.callback and not request.replay_of:  # a letter's was looked at before
                await self.resolver.check(request.callback)
            job = new_job_id(round(self._runtime.clock.now() * 1000))
            accepted = Accepted.of(job, request, tool, policy)
            stored = await self._store(request, accepted, watch, held=held)
        except LonghaulError as error:
            metrics.refusals.labels(reason=_REFUSALS[type(error)]).inc()
            raise
        if isinstance(stored, Joined):
            return replace(
                accepted,
                job=stored.job,
                attached=not stored.by_key,
                given_out=stored.given_out,
                new=False,
            ), None
        metrics.submissions.labels(tool.name).inc()
        where = {"tool": tool.name, "queue": policy.queue, "priority": accepted.priority}
        log.info("job.submitted", job_id=job, request_id=request.request_id, **where)
        ref = ToolRef(backend=tool.backend, tool=tool.backend_tool, version=tool.version)
        done, change = stored
        if done.head is not None:
            accepted = replace(accepted, head=done.head)
        if change.fields["state"] is JobState.HELD:
            if not accepted.held:  # room may have come in between
                window = str(change.fields["window"])
                self.window.kick(policy.queue, window, tool.name)
            return accepted, None
        return accepted, Token(job=job, generation=1, version=done.version, tool=ref)

    async def _store(
        self, request: CallRequest, accepted: Accepted, watch: Watch | None, *, held: bool
    ) -> tuple[Done, Change] | Joined:
        """The commit of the new record and what it was; or the job that this call made before, or
        an identical one left behind. That there is none is a guard of the record's creation.
        """
        holder = self._lease if held and not request.reachable else ""
        passed_over, blob = "", None
        limit: int | None = self.window.limit(accepted.policy.queue)
        for _ in range(ROUNDS):
            blob = await self._apart(accepted.job, request) if blob is None else blob
            watcher = "" if watch is None else self._follower.bind(watch, accepted.job)
            submission = submission_of(
                request, accepted, holder=holder, watcher=watcher, arguments_blob=blob
            )
            only = only_one(request, submission.spec.attach, passed_over)
            guards = (*only, *self.admission(accepted.policy.queue))
            now = round(self._runtime.clock.now() * 1000)
            change = creation(submission, request.run_at, now, guards, limit)
            if watch is not None and not held:
                change = replace(change, returning=("head",))
            answer = await self._runtime.store.commit(accepted.job, change, version=0)
            if isinstance(answer, Done):
                return answer, change
            if answer.guard == Window.__name__:
                limit = None  # no more of its caller's tokens: it is held
                continue
            joined = await self._join(answer, request, accepted.policy.queue, watch)
            if joined is not None:
                return joined
            passed_over = answer.holder_of_key
        raise ContendedError(f"identical calls to {request.tool} kept coming and going")

    async def _join(
        self, refused: Refused, request: CallRequest, queue: str, watch: Watch | None
    ) -> Joined | None:
        """The job that is there instead of a new one; None when it is not to be had.

        Raises:
            RefusedError: There is none, but no room.
        """
        job = refused.holder_of_key
        if refused.guard == Unique.__name__:
            return await self._repeat.join(job, request, watch)
        if refused.guard == Replays.__name__:
            return _replayed(request.replay_of, job)
        if refused.guard == Free.__name__:
            return await self._attach.join(job, watch)
        raise self._full(queue)

    async def _apart(self, job: str, request: CallRequest) -> str:
        """Where the arguments are by now, when they are too large for a record."""
        runtime = self._runtime
        limit = runtime.settings.inline_limit
        blob = await put_apart(runtime.blobs, job, request.arguments, limit)
        if blob is None:
            return ""
        runtime.metrics.blob_bytes.labels(kind="arguments").inc(blob.size)
        return str(blob)

    def admission(self, queue: str) -> tuple[Guard, ...]:
        """What must hold for one more job in this queue."""
        if self._headroom.lacking:
            return (Room(ALL, 0),)  # after the guards that find the job which is there already
        guards: list[Guard] = []
        settings = self._runtime.settings
        limits = settings.queues.get(queue)
        if limits is not None and limits.max_waiting is not None:
            guards.append(Room(queue_index(queue), limits.max_waiting))
        if self._runtime.broker.unreachable_since is not None:
            unsent = (JobState.QUEUED, JobState.HELD)
            guards += [Room(state_index(state), settings.max_unpublished) for state in unsent]
        return tuple(guards)

    def _full(self, queue: str) -> RefusedError:
        if self._headroom.lacking:
            text = f"the store's memory is {self._headroom.used:.0%} full; nothing was stored"
            return RefusedError(text, retry_after=RETRY_AFTER)
        return RefusedError(
            f"queue {queue} is full; nothing was stored", retry_after=FULL_RETRY_AFTER
        )

    def _publish_soon(self, accepted: Accepted, token: Token | None) -> None:
        if token is not None:
            task = asyncio.create_task(self.publish(accepted, token))
            self._publishing.add(task)
            task.add_done_callback(self._publishing.discard)

    async def publish(self, accepted: Accepted, token: Token) -> None:
        """Best effort: what is not noted as confirmed is published again when it is due."""
        try:
            await self._runtime.broker.publish(accepted.policy.queue, token, accepted.priority)
            if not self._follower.ended(token.job):
                self._jottings.jot(token.job, {"confirmed": AtLeast(token.generation)})
        except BrokerError as error:
            log.warning("job.unconfirmed", job_id=token.job, error=str(error))


def _replayed(letter: str, job: str) -> Joined:
    if not job:
        raise NotFoundError(f"no dead letter {letter}")
    return Joined(job, given_out=True, by_key=True)
