"""Reactions: what happens to a delivery that is not run here now. Each ends with its release."""

from typing import assert_never

import structlog

from common.brokers.base import Delivery
from common.jobs.change import Change, Done, Note
from common.jobs.decisions import (
    Adopt,
    BuryToken,
    ClaimAt,
    Expire,
    PutBack,
    Reaction,
    Release,
    Rescue,
)
from common.jobs.endings import owner_died
from common.jobs.head import Head
from common.jobs.state import JobState
from common.jobs.token import Token
from common.jobs.transitions import park
from common.ledger import transact
from common.poison import bury_raw
from common.publishing import publish_token, token_of
from common.runtime import Runtime
from workers import measure
from workers.claims import Claims

log = structlog.get_logger(__name__)

# By how often the job went back already: what waits for long costs little.
PARK_MS = (1_000, 2_000, 5_000, 15_000)


class Reactions:
    """Every method may be repeated; where the store or the broker is away it raises for that.

    Raises:
        StoreUnreachableError, ContendedError, BrokerError: The delivery is not released yet.
    """

    def __init__(self, runtime: Runtime, claims: Claims) -> None:
        self._runtime = runtime
        self._claims = claims

    async def react(self, reaction: Reaction, delivery: Delivery, token: Token) -> None:
        measure.count_drop(self._runtime.metrics, reaction)
        match reaction:
            case PutBack(delay_ms=delay_ms):
                await self.put_back(delivery, token, delay_ms)
                return
            case BuryToken():
                await bury_raw(self._runtime, delivery.queue, delivery.raw, "its record is missing")
            case Rescue():
                await self._rescue(token)
            case Release(why=why):
                log.info("token.released", why=why)
            case Adopt():
                log.info("token.released", why="it has just ended here")
            case Expire() | ClaimAt():
                log.info("token.released", why="its clock ran out")
            case unreachable:
                assert_never(unreachable)
        await delivery.ack()

    async def turn_away(self, delivery: Delivery, token: Token, reason: str) -> None:
        """There is no place for it here. A job that could run now is parked, with the reason."""
        reaction, head = await self._claims.look(token, delivery)
        if head is None or not isinstance(reaction, ClaimAt):
            await self.react(reaction, delivery, token)
            return
        delay_ms = PARK_MS[min(head.generation, len(PARK_MS)) - 1]
        if head.state is JobState.QUEUED:
            await self._park(head, delay_ms, reason, delivery, token)
        else:
            await self._runtime.store.note(head.id, Note(fields={"reason": reason}))
            await self.put_back(delivery, token, delay_ms)

    async def put_back(self, delivery: Delivery, token: Token, delay_ms: int) -> None:
        """The same generation, later."""
        await self._runtime.broker.park(delivery.queue, token, delivery.priority, delay_ms / 1000)
        await delivery.ack()

    async def leave_to_others(self, delivery: Delivery, token: Token) -> None:
        """This worker takes no more: another one gets the token at once."""
        await self._runtime.broker.publish(delivery.queue, token, delivery.priority)
        await delivery.ack()

    async def _park(
        self, head: Head, delay_ms: int, reason: str, delivery: Delivery, token: Token
    ) -> None:
        change = park(head, delay_ms, reason)
        answer = await self._runtime.store.commit(head.id, change, version=head.version)
        if not isinstance(answer, Done):
            await self.put_back(delivery, token, delay_ms)  # it moved; the token asks again
            return
        again = token_of(head, generation=head.generation + 1, version=answer.version)
        await publish_token(self._runtime, head, again, delay_ms / 1000)
        await delivery.ack()

    async def _rescue(self, token: Token) -> None:
        """It runs elsewhere: settled if its owner's lease is gone, else the due entry looks."""
        settled: tuple[Head, Change] | None = None

        def decide(head: Head) -> Change | None:
            nonlocal settled
            if head.state is not JobState.RUNNING:
                return None
            settled = head, owner_died(head, self._runtime.retention)
            return settled[1]

        answer = await transact(self._runtime.store, token.job, decide)
        if settled is None or not isinstance(answer, Done):
            return
        head, change = settled
        log.warning("job.owner_died", owner=head.owner, change=change.name)
        self._runtime.metrics.count_letter(change.name)
        if change.name == "rescued":
            again = token_of(head, generation=head.generation + 1, version=answer.version)
            await publish_token(self._runtime, head, again)
