"""Claims: from a token in hand to the right to run its job now, or to a reason why not."""

import secrets

import structlog

from common.backoff import Backoff
from common.brokers.base import Delivery
from common.errors import StoreUnreachableError
from common.heartbeat import Heartbeat
from common.jobs.change import Done, Refused
from common.jobs.checkpoint import CHECKPOINT
from common.jobs.decisions import ClaimAt, PutBack, Reaction, Release, react
from common.jobs.endings import let_go
from common.jobs.head import Head, StoredCall, decode_call
from common.jobs.questions import QUESTIONS, Round, decode_round
from common.jobs.state import JobState
from common.jobs.token import Token
from common.jobs.transitions import CALL, claim
from common.releasing import ReleaseWindow
from common.runtime import Runtime
from common.values import value_type

log = structlog.get_logger(__name__)

ROUNDS = 8


@value_type(frozen=True, slots=True, kw_only=True)
class Claimed:
    head: Head
    call: StoredCall
    now: int  # the store's time of the claim, ms
    asked: Round | None  # the newest questions, when the tool asked some before
    checkpoint: bytes | None  # the newest, when a run before this one said one


class Claims:
    def __init__(
        self, runtime: Runtime, lease: str, heartbeat: Heartbeat, window: ReleaseWindow
    ) -> None:
        self._runtime = runtime
        self._window = window
        self._lease = lease
        self._heartbeat = heartbeat
        self._change = claim(lease)
        # Queue, priority: when the youngest token claimed there was published, and claimed (ms).
        self._passings: dict[str, dict[int, tuple[int, int]]] = {}

    async def claim(
        self, token: Token, delivery: Delivery, *, runs_here: bool
    ) -> Claimed | Reaction:
        """Claimed, or what to do with the delivery instead.

        Waits while the store is away and the claim may have been written.

        Raises:
            StoreUnreachableError: It was not, or the lease has lapsed and cannot be renewed:
                nothing new starts.
        """
        version = token.version
        for _ in range(ROUNDS):
            answer = await self._commit(token.job, version)
            if isinstance(answer, Done) and self._holds(answer.head):
                self._note_passing(delivery, answer.now)
                self._window.leave(answer.head, answer)
                return _claimed(answer)
            if isinstance(answer, Done):
                await self._give_up(answer.head)
                return Release("its claim was over before its answer came")
            if answer.guard == "LeaseAlive":
                await self._heartbeat.beat()
                continue
            reaction = self._react(token, delivery, answer.head, answer.now, runs_here=runs_here)
            if not isinstance(reaction, ClaimAt):
                return reaction
            version = reaction.version
        return PutBack(1_000)

    def _holds(self, head: Head) -> bool:
        """A claim whose reply was lost is repeated, and the record may have moved on meanwhile."""
        return head.state is JobState.RUNNING and head.owner == self._lease

    async def _give_up(self, head: Head) -> None:
        """Cancelled before its claim was known here: there is no tool that could let go."""
        if head.still_running and head.owner == self._lease:
            change = let_go(head, self._runtime.retention)
            await self._runtime.store.commit(head.id, change, version=head.version)

    def _note_passing(self, delivery: Delivery, now: int) -> None:
        by_priority = self._passings.setdefault(delivery.queue, {})
        published_at = round(delivery.published_at * 1000)
        before = by_priority.get(delivery.priority)
        if before is None or published_at >= before[0]:
            by_priority[delivery.priority] = published_at, now

    def passings(self, queue: str) -> list[tuple[int, int, int]]:
        """For whoever wonders whether a token was lost; see `common.jobs.decisions.Passing`."""
        known = self._passings.get(queue, {})
        return [(priority, *when) for priority, when in known.items()]

    async def look(self, token: Token, delivery: Delivery) -> tuple[Reaction, Head | None]:
        """What a delivery means that cannot be run here now; the record as it stands."""
        head = await self._runtime.store.get(token.job)
        now = await self._runtime.store.now()
        return self._react(token, delivery, head, now, runs_here=False), head

    def _react(
        self, token: Token, delivery: Delivery, head: Head | None, now: int, *, runs_here: bool
    ) -> Reaction:
        return react(
            token,
            head,
            now,
            runs_here=runs_here,
            age_ms=round((self._runtime.clock.now() - delivery.published_at) * 1000),
            shortest_ms=round(self._runtime.settings.retention.shortest * 1000),
        )

    async def _commit(self, job: str, version: int) -> Done | Refused:
        """One claim; a lost reply is repeated with the same commit id and answers the same.

        Raises:
            StoreUnreachableError: Nothing was written.
        """
        backoff, written = Backoff(first=0.2, limit=5.0), False
        commit_id = secrets.token_hex(6)
        while True:
            try:
                return await self._runtime.store.commit(
                    job, self._change, version=version, commit_id=commit_id
                )
            except StoreUnreachableError as error:
                log.warning("job.unclaimed", job_id=job, error=str(error))
                written = written or not error.nothing_written
                if not written:
                    raise
                await self._runtime.clock.sleep(backoff.next())


def _claimed(answer: Done) -> Claimed:
    raw = answer.parts.get(QUESTIONS)
    return Claimed(
        head=answer.head,
        call=decode_call(answer.parts[CALL]),
        now=answer.now,
        asked=None if raw is None else decode_round(raw),
        checkpoint=answer.parts.get(CHECKPOINT),
    )
