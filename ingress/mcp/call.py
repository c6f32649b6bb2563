"""`tools/call`: a call becomes a job; its caller is held, and gets the answer, or the job's id."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog
from mcp.shared.exceptions import MCPError

from common.errors import (
    CANCELLED,
    InvalidCallError,
    LonghaulError,
    NotFoundError,
    StoreUnreachableError,
)
from common.jobs.endings import RESULT
from common.jobs.head import Head
from common.jobs.state import JobState
from common.jobs.transitions import LEASE_MS
from common.notifier.hints import JobHint
from common.wire import load_json
from ingress.ingress import Ingress
from ingress.mcp.afterwards import Afterwards
from ingress.mcp.answers import answer_of, hand_off_answer, saying_attached, tool_error
from ingress.mcp.declared import (
    Context,
    capabilities_of,
    client_name_of,
    declares_tasks,
    log_level_of,
)
from ingress.mcp.eras import era_of, is_modern, shaped_result
from ingress.mcp.errors import wire_error
from ingress.mcp.exchange import Exchange, exchange_of
from ingress.mcp.holding import Holding
from ingress.mcp.incoming import IncomingCall, answerable, levels_from, read_call, wait_for
from ingress.mcp.manners import Manner, manner_of
from ingress.mcp.standing import Standing
from ingress.mcp.task_views import create_result, legacy_task
from ingress.mcp.voice import Voice
from ingress.operations.call_request import Accepted, CallRequest
from ingress.operations.follow import Watch

log = structlog.get_logger(__name__)

HELD_LONG = "the call was held as long as it may be"
AS_TASK = "its client has it as a task"
CREATION = 1.0  # seconds after which a record that was being written is there, or never will be


class Calls:
    def __init__(self, ingress: Ingress, holding: Holding, afterwards: Afterwards) -> None:
        self._runtime = ingress.runtime
        self._rules = ingress.rules
        self._submit = ingress.submit
        self._follower = ingress.follower
        self._cancel = ingress.cancel
        self._holding = holding
        self._afterwards = afterwards
        self._standing = Standing(ingress.runtime)

    async def __call__(self, ctx: Context) -> dict[str, Any]:
        """The wire's result.

        Raises:
            MCPError: The call was refused, or its job ended without a result.
        """
        exchange = exchange_of(ctx)
        call = read_call(ctx.params or {}, exchange.wait)
        log_level = log_level_of(ctx, exchange)
        everything = call.wants_progress or bool(levels_from(log_level))
        accepted: Accepted | None = None
        with self._follower.watch(everything=everything) as watch:
            try:
                manner = self._manner(ctx, exchange, call)
                request = self._request(ctx, exchange, call, log_level)
                if exchange.cancelled:
                    raise MCPError(CANCELLED, "cancelled before it was begun")
                if manner == "task":
                    accepted = await self._submit.take(request, watch)
                    answer = await self._task(ctx, exchange, accepted)
                else:
                    accepted = await self._submit.hold(request, watch)
                    answer = await self._hold(ctx, exchange, call, manner, accepted, watch)
            except asyncio.CancelledError:
                self._left(exchange, watch, accepted)
                raise
            except InvalidCallError as error:
                answer = tool_error(str(error))
            except LonghaulError as error:
                refusal = wire_error(error, watch.job)
                exchange.retry_after = refusal.retry_after
                raise refusal.raised() from error
        return shaped_result(answer, modern=is_modern(ctx.protocol_version))

    def _manner(self, ctx: Context, exchange: Exchange, call: IncomingCall) -> Manner:
        tool = self._submit.tool(call.tool)
        if is_modern(ctx.protocol_version) and tool.bad_header:
            raise NotFoundError(f"Unknown tool: {call.tool}")  # nor is it listed
        return manner_of(
            self._rules.for_tool(tool.name, tool.backend, tool.backend_tool).task,
            era_of(ctx.protocol_version),
            declared=declares_tasks(capabilities_of(ctx, exchange)),
            asked=call.as_task,
            answers=call.answers is not None,
        )

    def _request(
        self, ctx: Context, exchange: Exchange, call: IncomingCall, log_level: str | None
    ) -> CallRequest:
        return CallRequest(
            tool=call.tool,
            arguments=call.arguments,
            caller=exchange.caller.name,
            request_id=exchange.request_id,
            priority=call.priority,
            meta=call.meta,
            client_capabilities=answerable(capabilities_of(ctx, exchange)),
            log_level=log_level,
            attachable=True,
            fresh=call.fresh,
            key=call.key,
        )

    async def _hold(
        self,
        ctx: Context,
        exchange: Exchange,
        call: IncomingCall,
        manner: Manner,
        accepted: Accepted,
        watch: Watch,
    ) -> Mapping[str, Any]:
        if exchange.outlived:
            self._heed_loss(exchange, accepted)
        began = self._runtime.clock.monotonic()
        voice = self._voice(ctx, exchange, call, accepted.job, began) if watch.everything else None
        until = began + self._wait(ctx, call, manner)
        end = await self._holding.until_end(exchange, watch, voice, until)
        if end is not None:
            return await self._ended(exchange, accepted, end)
        as_task = manner == "task_if_slow"
        head = await self._let_go(accepted.job, as_task=as_task)
        if head.terminal:
            end = JobHint(kind="state", job=head.id, state=str(head.state), version=head.version)
            return await self._ended(exchange, accepted, end)
        exchange.on_gone = None  # from here on only an explicit cancel cancels
        if as_task:
            return await self._task(ctx, exchange, accepted)
        log.info("call.handed_off", job_id=head.id, state=str(head.state))
        words = await self._standing.words(head, began)
        return hand_off_answer(accepted.tool, head, words, attached=accepted.attached)

    def _wait(self, ctx: Context, call: IncomingCall, manner: Manner) -> float:
        """Seconds that this caller is held."""
        settings = self._runtime.settings
        if manner == "task_if_slow":
            return settings.answering.inline_wait if call.wait is None else call.wait
        return wait_for(call, client_name_of(ctx), settings.answering, settings.clients)

    def _voice(
        self, ctx: Context, exchange: Exchange, call: IncomingCall, job: str, began: float
    ) -> Voice:
        return Voice(
            ctx.session,
            ctx.request_id,
            self._runtime.clock,
            self._runtime.settings.answering.heartbeat,
            levels_from(log_level_of(ctx, exchange)),
            partial(self._standing.heartbeat, job, began) if call.wants_progress else None,
        )

    def _heed_loss(self, exchange: Exchange, accepted: Accepted) -> None:
        """This handler outlives its connection: an explicit cancel may still come."""
        job = accepted.job
        exchange.on_cancel = partial(self._afterwards.cancel, job)
        if exchange.cancelled:
            self._afterwards.cancel(job)
        elif accepted.given_out:
            return
        elif exchange.gone:
            self._afterwards.orphan(job)
        else:
            exchange.on_gone = partial(self._afterwards.orphan, job)

    def _left(self, exchange: Exchange, watch: Watch, accepted: Accepted | None) -> None:
        """The handler was cancelled: what that means for the job is in how the client left."""
        job = watch.job if accepted is None else accepted.job
        if not job or (watch.shared and accepted is None):
            return
        delay = CREATION if accepted is None else 0.0
        if exchange.cancelled:
            self._afterwards.cancel(job, delay)
        elif accepted is not None and accepted.given_out:
            return  # only an explicit cancel cancels
        elif exchange.gone and not exchange.outlived:
            self._afterwards.abandon(job, delay)
        elif exchange.gone and accepted is None:
            self._afterwards.orphan(job, delay)
        elif not exchange.gone:  # a lost connection has been acted upon
            self._afterwards.hand_off(job, "its ingress stopped", delay)

    async def _ended(
        self, exchange: Exchange, accepted: Accepted, end: JobHint
    ) -> Mapping[str, Any]:
        job, state, raw = accepted.job, JobState(end.state), end.result
        if state is JobState.LOST:
            # Its own late finish within a lease is an ordinary end (DESIGN 6).
            await self._runtime.clock.sleep(LEASE_MS / 1000)
            head = await self._runtime.store.get(job)
            state, raw = state if head is None else head.state, None
        if raw is None and state is not JobState.CANCELLED:
            raw = await self._runtime.store.part(job, RESULT)
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

    async def _task(
        self, ctx: Context, exchange: Exchange, accepted: Accepted
    ) -> Mapping[str, Any]:
        """The job is stored, and published by the reconciler if by nobody else: its id goes out."""
        head = await self._runtime.store.get(accepted.job)
        if head is None:
            raise NotFoundError(f"job {accepted.job} is gone")
        if accepted.attached:
            exchange.on_sent = partial(self._afterwards.collected, head.id)
        log.info("call.task_created", job_id=head.id, request_id=exchange.request_id)
        task = await self._standing.task(head)
        modern = is_modern(ctx.protocol_version)
        answer = create_result(task) if modern else {"task": legacy_task(task, head)}
        return saying_attached(answer, head.id) if accepted.attached else answer
