"""`tools/call`: a call becomes a job, its caller is held, and gets the answer or a hand-off."""

import asyncio
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import mcp_types as types
import structlog
from mcp.server.context import ServerRequestContext
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
from common.jobs.indexes import queue_index
from common.jobs.state import TERMINAL, JobState
from common.jobs.transitions import LEASE_MS
from common.notifier.hints import JobHint
from common.runtime import Runtime
from common.wire import load_json
from ingress.mcp.afterwards import Afterwards
from ingress.mcp.answers import answer_of, hand_off_answer, tool_error
from ingress.mcp.eras import is_modern, shaped_result
from ingress.mcp.errors import wire_error
from ingress.mcp.exchange import Exchange, exchange_of
from ingress.mcp.incoming import IncomingCall, answerable, levels_from, read_call, wait_for
from ingress.mcp.progress import describe
from ingress.mcp.voice import Voice
from ingress.operations.call_request import Accepted, CallRequest
from ingress.operations.cancel import Cancel
from ingress.operations.follow import Follower, Watch
from ingress.operations.submit import Submit

log = structlog.get_logger(__name__)

HELD_LONG = "the call was held as long as it may be"
CREATION = 1.0  # seconds after which a record that was being written is there, or never will be
LAST_CALL = 1.0  # seconds that a held call still gets once the process is about to stop

Context = ServerRequestContext[Any, Any]


class Calls:
    def __init__(
        self,
        runtime: Runtime,
        submit: Submit,
        follower: Follower,
        cancel: Cancel,
        afterwards: Afterwards,
    ) -> None:
        self._runtime = runtime
        self._submit = submit
        self._follower = follower
        self._cancel = cancel
        self._afterwards = afterwards
        self._held: set[Watch] = set()
        self._ends_at = math.inf  # of every held call, on the monotonic clock

    def stop(self) -> None:
        """The process is about to stop: who is held gets the id of the job soon."""
        self._ends_at = self._runtime.clock.monotonic() + LAST_CALL
        for watch in self._held:
            watch.wake()

    async def __call__(self, ctx: Context) -> dict[str, Any]:
        """The wire's result.

        Raises:
            MCPError: The call was refused, or its job ended without a result.
        """
        exchange = exchange_of(ctx)
        modern = is_modern(ctx.protocol_version)
        call = read_call(ctx.params or {}, exchange.wait)
        log_level = _log_level(ctx, exchange)
        levels = levels_from(log_level)
        accepted: Accepted | None = None
        with self._follower.watch(everything=call.wants_progress or bool(levels)) as watch:
            try:
                accepted = await self._accept(ctx, exchange, call, log_level, watch)
                answer = await self._answer(ctx, exchange, call, levels, accepted, watch)
            except asyncio.CancelledError:
                self._left(exchange, watch.job, created=accepted is not None)
                raise
            except InvalidCallError as error:
                answer = tool_error(str(error))
            except LonghaulError as error:
                refusal = wire_error(error, watch.job)
                exchange.retry_after = refusal.retry_after
                raise refusal.raised() from error
        return shaped_result(answer, modern=modern)

    async def _accept(
        self,
        ctx: Context,
        exchange: Exchange,
        call: IncomingCall,
        log_level: str | None,
        watch: Watch,
    ) -> Accepted:
        if is_modern(ctx.protocol_version) and self._submit.tool(call.tool).bad_header:
            raise NotFoundError(f"Unknown tool: {call.tool}")  # nor is it listed
        request = CallRequest(
            tool=call.tool,
            arguments=call.arguments,
            caller=exchange.caller.name,
            request_id=exchange.request_id,
            priority=call.priority,
            meta=call.meta,
            client_capabilities=answerable(_capabilities(ctx, exchange)),
            log_level=log_level,
        )
        if exchange.cancelled:
            raise MCPError(CANCELLED, "cancelled before it was begun")
        accepted = await self._submit.hold(request, watch)
        if exchange.outlived:
            self._heed_loss(exchange, accepted.job)
        return accepted

    def _heed_loss(self, exchange: Exchange, job: str) -> None:
        """A handshake-era handler outlives its connection: an explicit cancel may still come."""
        exchange.on_cancel = partial(self._afterwards.cancel, job)
        if exchange.cancelled:
            self._afterwards.cancel(job)
        elif exchange.gone:
            self._afterwards.orphan(job)
        else:
            exchange.on_gone = partial(self._afterwards.orphan, job)

    def _left(self, exchange: Exchange, job: str, *, created: bool) -> None:
        """The handler was cancelled: what that means for the job is in how the client left."""
        if not job:
            return
        delay = 0.0 if created else CREATION
        if exchange.cancelled:
            self._afterwards.cancel(job, delay)
        elif exchange.gone and not exchange.outlived:
            self._afterwards.abandon(job, delay)
        elif exchange.gone and not created:
            self._afterwards.orphan(job, delay)
        elif not exchange.gone:  # a lost connection has been acted upon
            self._afterwards.hand_off(job, "its ingress stopped", delay)

    async def _answer(
        self,
        ctx: Context,
        exchange: Exchange,
        call: IncomingCall,
        levels: frozenset[str],
        accepted: Accepted,
        watch: Watch,
    ) -> Mapping[str, Any]:
        clock = self._runtime.clock
        began = clock.monotonic()
        wait = wait_for(
            call,
            _client_name(ctx),
            self._runtime.settings.answering,
            self._runtime.settings.clients,
        )
        voice: Voice | None = None
        if watch.everything:
            voice = Voice(
                ctx.session,
                ctx.request_id,
                clock,
                self._runtime.settings.answering.heartbeat,
                levels,
                partial(self._describe, accepted.job, began) if call.wants_progress else None,
            )
        self._held.add(watch)
        try:
            end = await self._listen(exchange, watch, voice, began + wait)
        finally:
            self._held.discard(watch)
        if end is None:
            return await self._hand_off(exchange, accepted, began)
        return await self._ended(exchange, accepted.job, end)

    async def _listen(
        self, exchange: Exchange, watch: Watch, voice: Voice | None, until: float
    ) -> JobHint | None:
        """The end of the job; None when the caller was held until then."""
        clock = self._runtime.clock
        while True:
            until = min(until, self._ends_at)
            if exchange.gone:  # nobody to tell, and no answer to give: the job's end ends this
                until, voice = math.inf, None
            left = until - clock.monotonic()
            if left <= 0 and watch.end is None:
                return None
            patience = min(left, voice.patience()) if voice is not None else left
            hint = await watch.next(None if patience == math.inf else patience)
            if hint is None:
                if voice is not None:
                    await voice.tick()
            elif hint.kind == "state" and hint.state in TERMINAL:
                return hint
            elif voice is not None:
                await voice.hear(hint)

    async def _ended(self, exchange: Exchange, job: str, end: JobHint) -> Mapping[str, Any]:
        state, raw = JobState(end.state), end.result
        if state is JobState.LOST:
            # Its own late finish within a lease is an ordinary end (DESIGN 6).
            await self._runtime.clock.sleep(LEASE_MS / 1000)
            head = await self._runtime.store.get(job)
            state, raw = state if head is None else head.state, None
        if raw is None and state is not JobState.CANCELLED:
            raw = await self._runtime.store.part(job, RESULT)
        exchange.on_sent = partial(self._afterwards.answered, job)
        log.info("call.answered", job_id=job, request_id=exchange.request_id, state=str(state))
        return answer_of(state, None if raw is None else load_json(raw), job)

    async def _hand_off(
        self, exchange: Exchange, accepted: Accepted, began: float
    ) -> Mapping[str, Any]:
        job = accepted.job
        try:
            head = await self._cancel.hand_off(job, HELD_LONG)
        except StoreUnreachableError:
            # The record stands, only the note that nobody is held for it any more is late.
            self._afterwards.hand_off(job, HELD_LONG)
            raise
        if head is None:
            raise NotFoundError(f"job {job} is gone")
        if head.terminal:
            end = JobHint(kind="state", job=job, state=str(head.state), version=head.version)
            return await self._ended(exchange, job, end)
        exchange.on_gone = None  # from here on only an explicit cancel cancels
        log.info("call.handed_off", job_id=job, state=str(head.state))
        return hand_off_answer(accepted.tool, head, await self._words(head, began))

    async def _describe(self, job: str, began: float) -> str:
        try:
            head = await self._runtime.store.get(job)
            return "" if head is None else await self._words(head, began)
        except StoreUnreachableError:
            return "waiting; the store does not answer"

    async def _words(self, head: Head, began: float) -> str:
        position = None
        if head.state is JobState.QUEUED:
            position = await self._runtime.store.rank(queue_index(head.queue), head.id)
        waited = self._runtime.clock.monotonic() - began
        return describe(head, position, waited, round(self._runtime.clock.now() * 1000))


def _meta(ctx: Context) -> Mapping[str, Any]:
    meta = (ctx.params or {}).get("_meta")
    return meta if isinstance(meta, Mapping) else {}


def _log_level(ctx: Context, exchange: Exchange) -> str | None:
    """The request's own (2026-07-28), or its session's."""
    if exchange.session is not None:
        return exchange.session.log_level
    level: str | None = _meta(ctx).get(types.LOG_LEVEL_META_KEY)
    return level


def _capabilities(ctx: Context, exchange: Exchange) -> Mapping[str, Any]:
    """As declared: with this request (2026-07-28), or when its session began."""
    if exchange.session is None:
        declared = _meta(ctx).get(types.CLIENT_CAPABILITIES_META_KEY)
        return declared if isinstance(declared, Mapping) else {}
    return exchange.session.capabilities


def _client_name(ctx: Context) -> str | None:
    client = ctx.session.client_params
    return None if client is None else client.client_info.name
