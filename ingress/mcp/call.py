"""`tools/call`: a call becomes a job, or comes again for one; and what a lost client means."""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from common.errors import CANCELLED, InvalidCallError, LonghaulError, NotFoundError
from ingress.ingress import Ingress
from ingress.mcp.afterwards import Afterwards
from ingress.mcp.answers import tool_error
from ingress.mcp.declared import (
    Context,
    asks_nothing,
    capabilities_of,
    client_name_of,
    declares_tasks,
    log_level_of,
)
from ingress.mcp.eras import Era, era_of, is_modern, shaped_result
from ingress.mcp.errors import wire_error
from ingress.mcp.exchange import Exchange, exchange_of
from ingress.mcp.held_call import HeldCalls, Turn, call_digest
from ingress.mcp.incoming import IncomingCall, levels_from, preview_for, read_call
from ingress.mcp.manners import Manner, manner_of
from ingress.mcp.seal import Seal, SealError, Ticket
from ingress.operations.call_request import Accepted, CallRequest
from ingress.operations.follow import Watch

CREATION = 1.0  # seconds after which a record that was being written is there, or never will be
NO_WAY_BACK = "this requestState is not one of ours, was used, or has expired"


class Calls:
    def __init__(
        self, ingress: Ingress, held: HeldCalls, seal: Seal, afterwards: Afterwards
    ) -> None:
        self._clock = ingress.runtime.clock
        self._runtime = ingress.runtime
        self._rules = ingress.rules
        self._submit = ingress.submit
        self._resume = ingress.resume
        self._follower = ingress.follower
        self._held = held
        self._seal = seal
        self._afterwards = afterwards

    async def __call__(self, ctx: Context) -> dict[str, Any]:
        """The wire's result.

        Raises:
            MCPError: The call was refused, or its job ended without a result.
        """
        exchange = exchange_of(ctx)
        call = read_call(ctx.params or {}, exchange.wait, self._clock.now())
        levels = levels_from(log_level_of(ctx, exchange))
        everything = (
            call.wants_progress or bool(levels) or not asks_nothing(capabilities_of(ctx, exchange))
        )
        watch = Watch(everything=everything)
        try:
            answer = await self._answer(ctx, exchange, call, levels, watch)
        except InvalidCallError as error:
            answer = tool_error(str(error))
        except LonghaulError as error:
            refusal = wire_error(error, watch.job)
            exchange.retry_after = refusal.retry_after
            raise refusal.raised() from error
        finally:
            self._follower.forget(watch)
        return shaped_result(answer, ctx.protocol_version)

    async def _answer(
        self,
        ctx: Context,
        exchange: Exchange,
        call: IncomingCall,
        levels: frozenset[str],
        watch: Watch,
    ) -> Mapping[str, Any]:
        manner = self._manner(ctx, exchange, call)
        ticket = self._ticket(ctx, call)
        if exchange.cancelled:
            raise MCPError(CANCELLED, "cancelled before it was begun")
        accepted: Accepted | None = None
        try:
            if ticket is not None:
                accepted = await self._again(exchange, call, ticket, watch)
            else:
                request = self._request(ctx, exchange, call)
                accept = self._submit.take if manner == "task" else self._submit.hold
                accepted = await accept(request, watch)
            if exchange.outlived and manner != "task":
                self._heed_loss(exchange, accepted)
            turn = Turn(
                ctx=ctx,
                exchange=exchange,
                call=call,
                manner=manner,
                levels=levels,
                accepted=accepted,
                watch=watch,
                rounds=0 if ticket is None else ticket.rounds,
            )
            return await self._turn(turn, ticket)
        except asyncio.CancelledError:
            self._left(exchange, watch, accepted)
            raise

    async def _turn(self, turn: Turn, ticket: Ticket | None) -> Mapping[str, Any]:
        if ticket is not None and ticket.round and turn.call.answers is not None:
            await self._held.respond(turn, ticket.round, turn.call.answers)
        if turn.accepted.held:
            return await self._held.scheduled(turn)
        if turn.manner != "task":
            return await self._held.answer(turn)
        return await (self._held.task(turn) if ticket is None else self._held.as_task(turn))

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

    def _request(self, ctx: Context, exchange: Exchange, call: IncomingCall) -> CallRequest:
        return CallRequest(
            tool=call.tool,
            arguments=call.arguments,
            caller=exchange.caller.name,
            request_id=exchange.request_id,
            priority=call.priority,
            meta=call.meta,
            client_capabilities=capabilities_of(ctx, exchange),
            log_level=log_level_of(ctx, exchange),
            preview=preview_for(call, client_name_of(ctx), self._runtime.settings.clients),
            attachable=True,
            fresh=call.fresh,
            run_at=call.run_at,
            key=call.key,
            callback=call.callback,
            affinity=call.affinity,
        )

    def _ticket(self, ctx: Context, call: IncomingCall) -> Ticket | None:
        """What the client was sent back with; None for a new call."""
        if call.state is None or era_of(ctx.protocol_version) is not Era.MODERN:
            return None
        try:
            ticket = self._seal.open(call.state)
        except SealError:
            raise MCPError(types.INVALID_PARAMS, NO_WAY_BACK) from None
        if ticket.expires_at <= self._clock.now() * 1000:
            raise MCPError(types.INVALID_PARAMS, NO_WAY_BACK)
        return ticket

    async def _again(
        self, exchange: Exchange, call: IncomingCall, ticket: Ticket, watch: Watch
    ) -> Accepted:
        """The same call, for the job that it was sent back from."""
        tool = self._submit.tool(call.tool)
        policy = self._rules.for_tool(tool.name, tool.backend, tool.backend_tool)
        accepted = Accepted(job=ticket.job, tool=tool, policy=policy, priority=policy.priority)
        caller = exchange.caller.name
        same = ticket.call == call_digest(exchange, call, accepted)
        if not (same and await self._resume.come_back(ticket.job, ticket.leg, caller, watch)):
            raise MCPError(types.INVALID_PARAMS, NO_WAY_BACK)
        return accepted

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
