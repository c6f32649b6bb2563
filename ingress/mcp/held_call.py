"""A call that is held: until its job has ended, asks its caller something, or patience is over."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import mcp_types as types
import structlog
from mcp.shared.exceptions import MCPError

from common.errors import InvalidAnswerError, NotFoundError, StoreUnreachableError
from common.jobs.attaching import attach_key
from common.jobs.endings import RESULT
from common.jobs.head import Head
from common.jobs.questions import Round, backend_key, open_requests, shown_key
from common.jobs.state import TERMINAL, JobState
from common.jobs.transitions import LEASE_MS
from common.notifier.hints import JobHint
from common.values import value_type
from common.wire import load_json
from ingress.ingress import Ingress
from ingress.mcp.afterwards import Afterwards
from ingress.mcp.answers import answer_of, hand_off_answer, input_required, saying_attached
from ingress.mcp.asking import Asking
from ingress.mcp.declared import Context, client_name_of
from ingress.mcp.eras import is_modern
from ingress.mcp.exchange import Exchange
from ingress.mcp.holding import Holding
from ingress.mcp.incoming import IncomingCall, wait_for
from ingress.mcp.manners import Manner
from ingress.mcp.seal import Seal, Ticket
from ingress.mcp.standing import Standing
from ingress.mcp.task_views import create_result, legacy_task
from ingress.mcp.voice import Voice
from ingress.operations.call_request import Accepted
from ingress.operations.follow import Watch

log = structlog.get_logger(__name__)

HELD_LONG = "the call was held as long as it may be"
AS_TASK = "its client has it as a task"
STOPS = TERMINAL | {JobState.INPUT_REQUIRED}


@value_type(frozen=True, slots=True, kw_only=True)
class Turn:
    """One request for the answer of a job."""

    ctx: Context
    exchange: Exchange
    call: IncomingCall
    manner: Manner
    levels: frozenset[str]  # of log lines that its caller wants
    accepted: Accepted
    watch: Watch
    rounds: int = 0  # how often this call was sent back before

    @property
    def job(self) -> str:
        return self.accepted.job


class HeldCalls:
    def __init__(
        self,
        ingress: Ingress,
        holding: Holding,
        asking: Asking,
        seal: Seal,
        afterwards: Afterwards,
    ) -> None:
        self._runtime = ingress.runtime
        self._cancel = ingress.cancel
        self._respond = ingress.respond
        self._resume = ingress.resume
        self._holding = holding
        self._asking = asking
        self._seal = seal
        self._afterwards = afterwards
        self._standing = Standing(ingress.runtime, ingress.respond, ingress.durations)

    async def answer(self, turn: Turn) -> Mapping[str, Any]:
        """What the caller gets: the result, a question, a task, a way back, or the job's id.

        Raises:
            MCPError: The job ended without a result.
        """
        began = self._runtime.clock.monotonic()
        voice = self._voice(turn, began)
        until = began + self._patience(turn)
        # Answers may come with the very first call: they are for what its tool asks first.
        given = None if turn.watch.shared else turn.call.answers
        asks = turn.watch.shared and await self._asks(turn.job)
        while True:
            if not asks:
                hint = await self._holding.until_end(turn.exchange, turn.watch, voice, until, STOPS)
                if hint is None and turn.exchange.gone:  # what that means was written then
                    raise MCPError(types.CONNECTION_CLOSED, "Connection closed")
                if hint is None:
                    return await self._held_long(turn, began)
                if hint.state in TERMINAL:
                    return await self._ended(turn, hint)
            answer = await self._questions(turn, given)
            if answer is not None:
                return answer
            asks, given = False, None

    async def task(self, turn: Turn) -> Mapping[str, Any]:
        """The job is stored, and published by the reconciler if by nobody else: its id goes out."""
        head = turn.accepted.head or await self._runtime.store.get(turn.job)
        if head is None:
            raise NotFoundError(f"job {turn.job} is gone")
        return await self._as_task(turn, head)

    async def scheduled(self, turn: Turn) -> Mapping[str, Any]:
        """It runs later: nobody is held so long, its id goes out at once."""
        if turn.manner != "held":
            return await self.task(turn)
        return await self._hand_off(turn, self._runtime.clock.monotonic())

    async def _as_task(self, turn: Turn, head: Head) -> Mapping[str, Any]:
        accepted, exchange = turn.accepted, turn.exchange
        if accepted.attached:
            exchange.on_sent = partial(self._afterwards.collected, head.id)
        log.info("call.task_created", job_id=head.id, request_id=exchange.request_id)
        task = await self._standing.task(head)
        modern = is_modern(turn.ctx.protocol_version)
        answer = create_result(task) if modern else {"task": legacy_task(task, head)}
        return saying_attached(answer, head.id) if accepted.attached else answer

    async def as_task(self, turn: Turn) -> Mapping[str, Any]:
        """From now on its client follows it by its id."""
        head = await self._let_go(turn.job, as_task=True)
        if head.terminal:
            return await self._ended(turn, _end_of(head))
        turn.exchange.on_gone = None  # from here on only an explicit cancel cancels
        return await self._as_task(turn, head)

    def _voice(self, turn: Turn, began: float) -> Voice | None:
        if not (turn.call.wants_progress or turn.levels):
            return None
        return Voice(
            turn.ctx.session,
            turn.ctx.request_id,
            self._runtime.clock,
            self._runtime.settings.answering.heartbeat,
            turn.levels,
            partial(self._standing.heartbeat, turn.job, began)
            if turn.call.wants_progress
            else None,
        )

    def _patience(self, turn: Turn) -> float:
        """Seconds that this caller is held."""
        settings = self._runtime.settings
        if turn.manner == "task_if_slow":
            return settings.answering.inline_wait if turn.call.wait is None else turn.call.wait
        return wait_for(turn.call, client_name_of(turn.ctx), settings.answering, settings.clients)

    async def _asks(self, job: str) -> bool:
        head = await self._runtime.store.get(job)
        return head is not None and head.state is JobState.INPUT_REQUIRED

    async def _questions(
        self, turn: Turn, given: Mapping[str, Any] | None
    ) -> Mapping[str, Any] | None:
        """What its tool asks, as this client is asked; None when there is nothing to answer with.

        The question may be an operator's to answer, be answered by now, or be asked on the way.
        """
        head = await self._runtime.store.get(turn.job)
        asked = None if head is None else await self._respond.open_round(head)
        if head is None or asked is None or not open_requests(asked):
            return None
        if given:
            head = await self.respond(turn, asked.number, given) or head
            asked = await self._respond.open_round(head)
            if asked is None or not open_requests(asked):
                return None
        if turn.exchange.session is not None:
            self._asking.ask(turn.ctx, head, asked)
            return None
        if turn.manner != "held":
            return await self.as_task(turn)
        left = head.answer_by - self._standing.now()
        return await self._send_back(turn, asked, left) if left > 0 else None

    async def respond(self, turn: Turn, number: int, given: Mapping[str, Any]) -> Head | None:
        """Store answers by the backend's own keys; None: one does not fit, and is asked again."""
        answers = {shown_key(number, key): answer for key, answer in given.items()}
        try:
            return await self._respond.answer(turn.job, answers, turn.exchange.caller)
        except InvalidAnswerError:  # what it says is the user's own
            log.info("question.answer_unfit", job_id=turn.job)
            return None

    async def _held_long(self, turn: Turn, began: float) -> Mapping[str, Any]:
        if turn.manner == "task_if_slow":
            return await self.as_task(turn)
        if self._carried(turn):
            ttl = self._runtime.settings.answering.orphan_ttl
            return await self._send_back(turn, None, round(ttl * 1000))
        return await self._hand_off(turn, began)

    async def _hand_off(self, turn: Turn, began: float) -> Mapping[str, Any]:
        head = await self._let_go(turn.job, as_task=False)
        if head.terminal:
            return await self._ended(turn, _end_of(head))
        turn.exchange.on_gone = None  # from here on only an explicit cancel cancels
        log.info("call.handed_off", job_id=head.id, state=str(head.state))
        words = await self._standing.words(head, began)
        accepted = turn.accepted
        return hand_off_answer(accepted.tool, head, words, attached=accepted.attached)

    def _carried(self, turn: Turn) -> bool:
        """Clients of 2026-07-28 come again by themselves, some times; who said how long, not."""
        most = self._runtime.settings.answering.carry_rounds
        modern = is_modern(turn.ctx.protocol_version)
        return modern and turn.call.wait is None and turn.rounds < most and not self._holding.ends

    async def _send_back(
        self, turn: Turn, asked: Round | None, useful_ms: int
    ) -> Mapping[str, Any]:
        """To come again, with answers if something was asked, for as long as they are useful."""
        leg = await self._resume.send_back(turn.job, useful_ms / 1000)
        if leg is None:
            head = await self._let_go(turn.job, as_task=False)
            return await self._ended(turn, _end_of(head))
        turn.exchange.on_gone = None
        accepted = turn.accepted
        ticket = Ticket(
            job=turn.job,
            call=call_digest(turn.exchange, turn.call, accepted),
            leg=leg,
            round=0 if asked is None else asked.number,
            rounds=turn.rounds + 1,
            expires_at=self._standing.now() + useful_ms,
        )
        opened = {} if asked is None else open_requests(asked)
        requests = {backend_key(key): request for key, request in opened.items()}
        answer = input_required(self._seal.close(ticket), requests)
        return saying_attached(answer, turn.job) if accepted.attached else answer

    async def _ended(self, turn: Turn, end: JobHint) -> Mapping[str, Any]:
        job, state, raw = turn.job, JobState(end.state), end.result
        if state is JobState.LOST:
            # Its own late finish within a lease is an ordinary end (DESIGN 6).
            await self._runtime.clock.sleep(LEASE_MS / 1000)
            head = await self._runtime.store.get(job)
            state, raw = state if head is None else head.state, None
        if raw is None and state is not JobState.CANCELLED:
            raw = await self._runtime.store.part(job, RESULT)
        accepted, exchange = turn.accepted, turn.exchange
        known = accepted.attached or accepted.given_out
        sent = self._afterwards.collected if known else self._afterwards.answered
        exchange.on_sent = partial(sent, job)
        log.info("call.answered", job_id=job, request_id=exchange.request_id, state=str(state))
        answer = answer_of(state, None if raw is None else load_json(raw), job)
        return saying_attached(answer, job) if accepted.attached else answer

    async def _let_go(self, job: str, *, as_task: bool) -> Head:
        reason = AS_TASK if as_task else HELD_LONG
        try:
            head = await self._cancel.hand_off(job, reason, as_task=as_task)
        except StoreUnreachableError:
            # The record stands, only the note that nobody is held for it any more is late.
            self._afterwards.hand_off(job, reason)
            raise
        if head is None:
            raise NotFoundError(f"job {job} is gone")
        return head


def call_digest(exchange: Exchange, call: IncomingCall, accepted: Accepted) -> str:
    """Whose call of what this is."""
    tool = accepted.tool
    return attach_key(exchange.caller.name, tool.name, tool.version, call.arguments)


def _end_of(head: Head) -> JobHint:
    return JobHint(kind="state", job=head.id, state=str(head.state), version=head.version)
