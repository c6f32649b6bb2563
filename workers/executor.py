"""The executor: one delivery, read top to bottom: place, claim, call, settle, ack."""

import asyncio
from collections.abc import Mapping

import structlog

from common.backoff import Backoff
from common.blobs.calls import whole_call
from common.brokers.base import BrokerError
from common.errors import (
    NOT_KEPT,
    BlobsUnreachableError,
    NotFoundError,
    StoreUnreachableError,
)
from common.jobs.decisions import NEWER_FORMAT_DELAY_MS, Adopt, Release
from common.jobs.head import Head
from common.jobs.token import TOKEN_FORMAT, MalformedTokenError, Token, decode_token
from common.ledger import ContendedError
from common.poison import bury_raw
from common.runtime import Runtime
from common.tasks import first_of
from workers import measure
from workers.backends.base import (
    BackendError,
    ConnectionLost,
    Place,
    ProtocolFailure,
)
from workers.backends.pool import BackendPool
from workers.calling import Calling
from workers.claims import Claimed, Claims
from workers.holding import Held
from workers.interview import Interview
from workers.outbox import Outboxes
from workers.outcome import (
    Drained,
    NotReady,
    Outcome,
    Refused,
    Stopped,
    TimedOut,
    Vanished,
    unsettled,
)
from workers.reactions import Reactions
from workers.relay import Relay
from workers.runs import Run
from workers.settlement import Settlement

log = structlog.get_logger(__name__)

COMES_BACK = 3.0  # seconds in which a backend that went away is likely to be up again
LOOK = 0.25  # seconds between two looks whether there may be a place at all
LOOKS = 20  # a delivery is held for a free place no longer than 5 s, then it is parked
NO_SLOT = "the worker that took it has no free slot"


class Executor:
    def __init__(
        self,
        runtime: Runtime,
        pools: Mapping[str, BackendPool],
        claims: Claims,
        settlement: Settlement,
        draining: asyncio.Event,
    ) -> None:
        self._runtime = runtime
        self._pools = pools
        self._claims = claims
        self._settlement = settlement
        self._reactions = Reactions(runtime, claims)
        self._outboxes = Outboxes(runtime)
        self._draining = draining
        self._served: dict[str, float] = {}  # backend: when a call of it ended last
        self.running: dict[str, Run] = {}
        self.ends = asyncio.Event()  # the worker's time for what is under way is over

    async def run(self, delivery: Held) -> None:
        """Everything about one delivery. One bad job must not end the others: nothing escapes.

        While the store or the broker is away it begins again: until the claim nothing has happened.
        Once the worker must end, it is left to the broker, which has it still.
        """
        backoff = Backoff(first=0.2, limit=5.0)
        while True:
            try:
                await self._run(delivery)
            except (StoreUnreachableError, ContendedError, BrokerError) as error:
                log.warning("delivery.waits", queue=delivery.queue, error=str(error))
                if self.ends.is_set():
                    return
                await self._runtime.clock.sleep(backoff.next())
            except Exception:  # the one boundary of a delivery; the due entry looks after the job
                log.exception("delivery.failed", queue=delivery.queue)
                await delivery.ack()
                return
            else:
                return

    async def _run(self, delivery: Held) -> None:
        try:
            token = decode_token(delivery.raw)
        except MalformedTokenError as error:
            await bury_raw(self._runtime, delivery.queue, delivery.raw, str(error))
            self._runtime.metrics.tokens_dropped.labels(reason="undecodable").inc()
            await delivery.ack()
            return
        # For all that is logged from here on: a delivery has a task, and so a context, of its own.
        structlog.contextvars.bind_contextvars(job_id=token.job)
        if token.format > TOKEN_FORMAT:
            await self._reactions.put_back(delivery, token, NEWER_FORMAT_DELAY_MS)
            return
        # Before a place is asked for: the job has one already.
        if await self._adopt(delivery, token):
            return
        if not await delivery.take_room(LOOK * LOOKS):
            await self._reactions.turn_away(delivery, token, NO_SLOT)
            return
        place = await self._place(token)
        if self._draining.is_set():
            if place is not None:
                place.release()
            await self._reactions.leave_to_others(delivery, token)
            return
        if place is None:
            await self._reactions.turn_away(delivery, token, self._why_not(token))
            return
        async with place:
            await self._claim_and_run(delivery, token, place)

    async def _adopt(self, delivery: Held, token: Token) -> bool:
        """A job that runs here keeps the newest delivery of its token; the other is released."""
        run = self.running.get(token.job)
        if run is None or run.head.generation != token.generation:
            return False
        measure.count_drop(self._runtime.metrics, Adopt())
        if run.parked:  # no delivery stands for it any more
            await delivery.ack()
            return True
        log.info("token.adopted")
        before, run.delivery = run.delivery, delivery
        delivery.stand_in_for(before)
        await before.ack()  # does nothing to one whose connection was lost
        return True

    async def _claim_and_run(self, delivery: Held, token: Token, place: Place) -> None:
        here = token.job in self.running
        claimed = await self._claims.claim(token, delivery, runs_here=here)
        if isinstance(claimed, Claimed) and self._runs(claimed.head):
            claimed = Release("another token of it brought this claim")
        if not isinstance(claimed, Claimed):
            place.release()
            if not await self._adopt(delivery, token):
                await self._reactions.react(claimed, delivery, token)
            return
        run = Run(claimed.head, claimed.call, delivery, claimed.asked, claimed.checkpoint)
        if fenced := self.running.get(token.job):
            fenced.claim_gone()
        self.running[token.job] = run
        try:
            log.info("job.started", tool=claimed.head.tool, number=claimed.head.tries)
            measure.count_start(self._runtime.metrics, run.head)
            self._settlement.called(run.head)
            started = self._runtime.clock.monotonic()
            outcome = await self._call(run, place, claimed.now)
            place.judge(measure.verdict_of(outcome))
            if isinstance(outcome, Stopped):
                await self._let_go(place)  # until then it counts as running, for everybody
            place.release()
            self._served[token.tool.backend] = self._runtime.clock.monotonic()
            seconds = self._runtime.clock.monotonic() - started
            measure.count_end(self._runtime.metrics, run.head, outcome, seconds)
            await self._settle(run.head, outcome)
        finally:
            if self.running.get(token.job) is run:
                del self.running[token.job]
        await run.delivery.ack()

    async def _settle(self, head: Head, outcome: Outcome) -> None:
        try:
            await self._settlement.settle(head, outcome)
        except (StoreUnreachableError, ContendedError, BrokerError):
            raise
        except Exception:
            # The boundary of an end: whatever it was, the job must not be left as running.
            log.exception("job.not_settled")
            await self._settlement.settle(head, unsettled(outcome))

    def _runs(self, head: Head) -> bool:
        """A claim is run once, also when its lost reply comes after another token's."""
        run = self.running.get(head.id)
        return run is not None and run.head.claims == head.claims

    async def _call(self, run: Run, place: Place, now_ms: int) -> Outcome:
        if self.ends.is_set():  # the claim was long in coming
            return Drained()
        relay = Relay(self._runtime, run)
        calling = Calling(self._runtime, run, place, Interview(self._runtime, run, relay))
        try:
            run.call = await whole_call(self._runtime.blobs, run.head, run.call)
            run.outbox = await self._outboxes.open(run.head)
            ended: Outcome = await run.under_clocks(calling(), now_ms)
            if isinstance(ended, Stopped | TimedOut | Refused):
                await calling.cancel_task()
        except BlobsUnreachableError as error:
            return NotReady(f"its arguments cannot be read: {error}")
        except NotFoundError:
            return Refused({"code": NOT_KEPT, "message": "its arguments are gone"})
        except ConnectionLost as error:
            return Vanished(error.message, error.retry_after)
        except ProtocolFailure as error:
            data = {} if error.data is None else {"data": error.data}
            body = {"code": error.code, "message": error.message, **data}
            return Refused(body, error.retry_after)
        except BackendError as error:
            return Vanished(error.message)
        except Exception:
            # The one boundary of a call: whatever went wrong, it may have run.
            log.exception("run.failed")
            return Vanished("an unexpected failure in the worker, see its log")
        finally:
            await relay.aclose()
        return ended

    async def _let_go(self, place: Place) -> None:
        """Until the tool of a cancelled call has let go; once the worker must end, no longer."""
        await first_of(place.let_go(), self.ends.wait())

    async def _place(self, token: Token) -> Place | None:
        """A place on a live replica of the token's backend, soon; None when there is none."""
        pool = self._pools.get(token.tool.backend)
        if pool is None:
            return None
        key = await self._affinity(token) if pool.affine else ""
        place = pool.try_place(key)
        if place is not None:
            return place
        waiting = asyncio.create_task(pool.wait_place(key))
        try:
            for _ in range(LOOKS):
                if not self._may_come(token.tool.backend, pool):
                    return None
                await asyncio.wait({waiting}, timeout=LOOK)
                if waiting.done():
                    return waiting.result()
        finally:
            waiting.cancel()  # a place that comes in this moment goes back by itself
        return None

    async def _affinity(self, token: Token) -> str:
        """Which calls it shares a replica with: the token does not say, so the record is read."""
        head = await self._runtime.store.get(token.job)
        return "" if head is None else head.spec.affinity or head.caller

    def _may_come(self, backend: str, pool: BackendPool) -> bool:
        """A place is worth waiting for: it is busy, starts for the first time, was just there."""
        if not pool.takes_calls or self._draining.is_set():
            return False
        served = self._served.get(backend)
        if served is not None and self._runtime.clock.monotonic() - served < COMES_BACK:
            return True
        return pool.may_come

    def _why_not(self, token: Token) -> str:
        backend = token.tool.backend
        pool = self._pools.get(backend)
        if pool is None:
            return f"backend {backend} is not configured on the worker that took it"
        return f"backend {backend} {pool.why_not()}"
