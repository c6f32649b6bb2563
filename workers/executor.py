"""The executor: one delivery, read top to bottom: place, claim, call, settle, ack."""

import asyncio
from collections.abc import Mapping
from typing import assert_never

import structlog

from common.brokers.base import BrokerError, Delivery
from common.errors import StoreUnreachableError
from common.jobs.change import Change, Done
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
from common.jobs.token import TOKEN_FORMAT, MalformedTokenError, Token, decode_token
from common.jobs.transitions import park
from common.ledger import ContendedError, transact
from common.publishing import publish_token, token_of
from common.runtime import Runtime
from workers import measure
from workers.backends.base import (
    BackendError,
    Call,
    ConnectionLost,
    NotStarted,
    Place,
    ProtocolFailure,
)
from workers.backends.pool import BackendPool
from workers.claims import Claimed, Claims
from workers.outcome import Answered, NotReached, Outcome, Refused, Vanished
from workers.poison import bury_raw
from workers.relay import Relay
from workers.runs import Run
from workers.settlement import Settlement

log = structlog.get_logger(__name__)

PLACE_WAIT = 5.0  # seconds a delivery is held for a free place before it is parked
PARK_MS = (1_000, 2_000, 5_000)
NEWER_TOKEN_DELAY = 5.0


class Executor:
    def __init__(
        self,
        runtime: Runtime,
        pools: Mapping[str, BackendPool],
        claims: Claims,
        settlement: Settlement,
    ) -> None:
        self._runtime = runtime
        self._pools = pools
        self._claims = claims
        self._settlement = settlement
        self.running: dict[str, Run] = {}

    async def run(self, delivery: Delivery) -> None:
        """Everything about one delivery. One bad job must not end the others: nothing escapes."""
        try:
            await self._run(delivery)
        except Exception:  # the one boundary of a run; the due entry looks after the job
            log.exception("delivery.failed", queue=delivery.queue)

    async def _run(self, delivery: Delivery) -> None:
        try:
            token = decode_token(delivery.raw)
        except MalformedTokenError as error:
            await bury_raw(self._runtime, delivery.queue, delivery.raw, str(error))
            self._runtime.metrics.tokens_dropped.labels(reason="undecodable").inc()
            await delivery.ack()
            return
        with structlog.contextvars.bound_contextvars(job_id=token.job):
            if token.format > TOKEN_FORMAT:
                await self._put_back(delivery, token, NEWER_TOKEN_DELAY)
                return
            place = await self._place(token)
            if place is None:
                await self._park(delivery, token)
                return
            async with place:
                await self._claim_and_run(delivery, token, place)

    async def _claim_and_run(self, delivery: Delivery, token: Token, place: Place) -> None:
        here = token.job in self.running
        claimed = await self._claims.claim(token, delivery, runs_here=here)
        if not isinstance(claimed, Claimed):
            await self._react(claimed, delivery, token)
            return
        run = Run(claimed.head, claimed.call, delivery)
        self.running[token.job] = run
        try:
            log.info("job.started", tool=claimed.head.tool, number=claimed.head.tries)
            measure.count_start(self._runtime.metrics, run.head)
            started = self._runtime.clock.monotonic()
            outcome = await self._call(run, place, claimed.now)
            place.release()
            seconds = self._runtime.clock.monotonic() - started
            measure.count_end(self._runtime.metrics, run.head, outcome, seconds)
            await self._settlement.settle(run.head, outcome)
        finally:
            del self.running[token.job]
        await run.delivery.ack()

    async def _call(self, run: Run, place: Place, now_ms: int) -> Outcome:
        relay = Relay(self._runtime, run.head, run.sign_of_life)
        call = Call(
            tool=run.head.spec.backend_tool,
            arguments=run.call.arguments,
            meta=run.call.meta,
            client_capabilities=run.call.client_capabilities,
            log_level=run.call.log_level,
        )
        try:
            ended = await run.under_clocks(place.call(call, relay), now_ms)
        except NotStarted as error:
            return NotReached(error.message)
        except ConnectionLost as error:
            return Vanished(error.message)
        except ProtocolFailure as error:
            data = {} if error.data is None else {"data": error.data}
            return Refused({"code": error.code, "message": error.message, **data})
        except BackendError as error:
            return Vanished(error.message)
        finally:
            await relay.aclose()
        return Answered(ended) if isinstance(ended, dict) else ended

    async def _place(self, token: Token) -> Place | None:
        """A place on a live replica of the token's backend, soon; None when there is none."""
        pool = self._pools.get(token.tool.backend)
        if pool is None:
            return None
        place = pool.try_place()
        if place is not None:
            return place
        try:
            async with asyncio.timeout(PLACE_WAIT):
                return await pool.wait_place()
        except TimeoutError:
            return None

    async def _react(self, reaction: Reaction, delivery: Delivery, token: Token) -> None:
        measure.count_drop(self._runtime.metrics, reaction)
        match reaction:
            case Adopt():
                self.running[token.job].delivery = delivery
                return
            case PutBack(delay_ms=delay_ms):
                await self._put_back(delivery, token, delay_ms / 1000)
                return
            case BuryToken():
                await bury_raw(self._runtime, delivery.queue, delivery.raw, "its record is missing")
            case Rescue():
                await self._rescue(token)
            case Release(why=why):
                log.info("token.released", why=why)
            case Expire() | ClaimAt():
                log.info("token.released", why="its clock ran out")
            case unreachable:
                assert_never(unreachable)
        await delivery.ack()

    async def _rescue(self, token: Token) -> None:
        seen: Head | None = None

        def decide(head: Head) -> Change | None:
            nonlocal seen
            seen = head
            if head.state is not JobState.RUNNING:
                return None
            return owner_died(head, self._runtime.retention)

        answer = await transact(self._runtime.store, token.job, decide)
        if seen is None or not isinstance(answer, Done):
            return  # its owner lives; the due entry looks again
        log.warning("job.owner_died", owner=seen.owner)
        if seen.spec.repeatable:
            again = token_of(seen, generation=seen.generation + 1, version=answer.version)
            await publish_token(self._runtime, seen, again)

    async def _park(self, delivery: Delivery, token: Token) -> None:
        """No place for it here: the record says why, and the token comes back after a delay."""
        backend = token.tool.backend
        pool = self._pools.get(backend)
        reason = (
            f"backend {backend} has no free place on this worker"
            if pool is not None and any(r.state == "ready" for r in pool.status().replicas)
            else f"backend {backend} is not up on this worker"
        )
        parked: tuple[Head, int] | None = None

        def decide(head: Head) -> Change | None:
            nonlocal parked
            if head.state is not JobState.QUEUED or head.generation != token.generation:
                return None
            delay_ms = PARK_MS[min(head.checks, len(PARK_MS) - 1)]
            parked = head, delay_ms
            return park(head, delay_ms, reason)

        try:
            answer = await transact(self._runtime.store, token.job, decide)
        except (StoreUnreachableError, ContendedError):
            answer = None
        if parked is None or not isinstance(answer, Done):
            await self._put_back(delivery, token, PARK_MS[0] / 1000)
            return
        head, delay_ms = parked
        again = token_of(head, generation=head.generation + 1, version=answer.version)
        await publish_token(self._runtime, head, again, delay_ms / 1000)
        await delivery.ack()

    async def _put_back(self, delivery: Delivery, token: Token, delay: float) -> None:
        """The same generation, later. When the broker does not take it, it keeps this delivery."""
        try:
            await self._runtime.broker.park(delivery.queue, token, delivery.priority, delay)
        except BrokerError as error:
            log.warning("token.not_put_back", error=str(error))
            return
        await delivery.ack()
