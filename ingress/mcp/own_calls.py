"""Calls to Longhaul's own tools: answered here, at once or after a wait, and never queued."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from common.errors import InvalidCallError, InvalidRowsError, KeyConflictError, NotFoundError
from common.jobs.head import Head
from common.jobs.questions import open_requests
from common.jobs.state import TERMINAL, JobState
from common.jobs.transitions import LEASE_MS
from common.tasks import cancel_and_join
from common.wire import load_json
from ingress.caller import Caller
from ingress.ingress import Ingress
from ingress.mcp.afterwards import Afterwards
from ingress.mcp.answers import tool_error
from ingress.mcp.asking import Asking
from ingress.mcp.batch_calls import BatchCalls
from ingress.mcp.declared import Context, client_name_of
from ingress.mcp.eras import shaped_result
from ingress.mcp.exchange import Exchange, exchange_of
from ingress.mcp.holding import Holding
from ingress.mcp.incoming import IncomingCall, read_call, wait_for
from ingress.mcp.own_tools import BATCH, CANCEL, JOBS, PAGE, RESULT, TOOLS, WAIT
from ingress.mcp.reports import cancelled_text, listed, output_so_far, report, running_text
from ingress.mcp.standing import Standing
from ingress.mcp.task_views import ended, status_of
from ingress.mcp.voice import Voice
from ingress.operations.arguments import ArgumentCheck
from ingress.operations.read import is_cursor

log = structlog.get_logger(__name__)

OUTPUT_PAGE = 100  # entries in one answer: at most as much as an agent may want to read
STOPS = TERMINAL | {JobState.INPUT_REQUIRED}  # what ends a wait


class OwnCalls:
    def __init__(
        self, ingress: Ingress, holding: Holding, asking: Asking, afterwards: Afterwards
    ) -> None:
        self._runtime = ingress.runtime
        self._read = ingress.read
        self._output = ingress.output
        self._follower = ingress.follower
        self._cancel = ingress.cancel
        self._respond = ingress.respond
        self._holding = holding
        self._asking = asking
        self._afterwards = afterwards
        self._standing = Standing(ingress.runtime, ingress.respond, ingress.durations)
        self._batches = BatchCalls(ingress)
        self._check = ArgumentCheck()

    async def __call__(self, ctx: Context) -> dict[str, Any]:
        """The wire's result.

        Raises:
            StoreUnreachableError: Nobody knows.
        """
        exchange = exchange_of(ctx)
        call = read_call(ctx.params or {}, exchange.wait, self._runtime.clock.now())
        arguments = call.arguments or {}
        try:
            self._check(TOOLS[call.tool], arguments)
            answer = await self._answer(ctx, exchange, call, arguments)
        except (InvalidCallError, InvalidRowsError, KeyConflictError, NotFoundError) as error:
            answer = tool_error(str(error))
        return shaped_result(answer, ctx.protocol_version)

    async def _answer(
        self, ctx: Context, exchange: Exchange, call: IncomingCall, arguments: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        caller = exchange.caller.over_mcp
        match call.tool:
            case tool if tool == WAIT:
                return await self._wait(ctx, exchange, call, arguments)
            case tool if tool == RESULT:
                return await self._result(
                    exchange, arguments["id"], int(arguments.get("cursor", 0))
                )
            case tool if tool == CANCEL:
                head = await self._read.job_or_batch(arguments["id"], caller)
                if head.is_batch:
                    return await self._batches.cancel(head, caller)
                done = await self._cancel.cancel(head.id, "cancelled by its caller")
                return cancelled_text(head, done=done)
            case tool if tool == BATCH:
                return await self._batches.begin(call, caller, exchange.request_id)
            case _:
                return await self._list(caller, arguments.get("cursor"))

    async def _result(self, exchange: Exchange, job: str, cursor: int) -> Mapping[str, Any]:
        """The result; before the end, what its tool said after the cursor."""
        caller = exchange.caller.over_mcp
        head = await self._read.job_or_batch(job, caller)
        if head.is_batch:
            return await self._batches.results(head, caller, cursor)
        said = await self._output.after(job, caller, cursor, OUTPUT_PAGE)
        if ended(status_of(said.head, self._standing.now())):
            return await self._report(exchange, [said.head])
        return output_so_far(await self._standing.task(said.head), said)

    async def _wait(
        self, ctx: Context, exchange: Exchange, call: IncomingCall, arguments: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        caller = exchange.caller.over_mcp
        jobs = list(dict.fromkeys(arguments["ids"]))
        heads = [await self._read.job_or_batch(job, caller) for job in jobs]
        settings = self._runtime.settings
        most = wait_for(call, client_name_of(ctx), settings.answering, settings.clients)
        began = self._runtime.clock.monotonic()
        until = began + min(arguments.get("seconds", math.inf), most)
        voices: list[Voice | None] = [None] * len(jobs)
        if call.wants_progress:
            voices[0] = self._voice(ctx, heads[0], began)
        first = arguments.get("until") == "any"
        waits = [
            asyncio.create_task(self._until_end(ctx, exchange, job, voice, until))
            for job, voice in zip(jobs, voices, strict=True)
        ]
        try:
            when = asyncio.FIRST_COMPLETED if first else asyncio.ALL_COMPLETED
            done, _ = await asyncio.wait(waits, return_when=when)
            for task in done:
                task.result()
        finally:
            await cancel_and_join(*waits)
        return await self._report(
            exchange, [await self._read.job_or_batch(job, caller) for job in jobs]
        )

    async def _until_end(
        self, ctx: Context, exchange: Exchange, job: str, voice: Voice | None, until: float
    ) -> None:
        """Until the job has ended or asks a question, patience is over, or the client has gone.

        What it asks a handshake-era client is asked on the way.
        """
        clock = self._runtime.clock
        async with self._follower.follow(job, everything=True) as watch:
            while True:
                head = await self._read.job_or_batch(job, exchange.caller.over_mcp)
                if head.terminal:
                    break
                asked = await self._respond.open_round(head)
                for_caller = asked is not None and open_requests(asked)  # else an operator's
                if for_caller and exchange.session is None:
                    break
                if asked is not None:
                    self._asking.ask(ctx, head, asked)
                stop = await self._holding.until_end(
                    exchange, watch, voice, until, STOPS, alone=False
                )
                if stop is None:
                    break
        if head.state is JobState.LOST:  # its own late finish within a lease is an ordinary end
            grace = (head.lost_at + LEASE_MS - self._standing.now()) / 1000
            await clock.sleep(max(0.0, min(grace, until - clock.monotonic())))

    def _voice(self, ctx: Context, head: Head, began: float) -> Voice:
        clock, answering = self._runtime.clock, self._runtime.settings.answering
        words = partial(self._standing.heartbeat, head.id, began)
        if head.is_batch:
            words = partial(self._batches.words, head)
        return Voice(ctx.session, ctx.request_id, clock, answering.heartbeat, frozenset(), words)

    async def _report(self, exchange: Exchange, heads: Sequence[Head]) -> Mapping[str, Any]:
        """What is known of these jobs; what has ended, with its tool's own result."""
        batches = [await self._batches.waited(head) for head in heads if head.is_batch]
        heads = [head for head in heads if not head.is_batch]
        now = self._standing.now()
        over = [head for head in heads if ended(status_of(head, now))]
        bodies = [await self._body(head) for head in over]
        going = [head for head in heads if head not in over]
        texts = [running_text(await self._standing.task(head), head) for head in going] + batches
        uncollected = [head.id for head in over if head.let_go_at and not head.collected]

        def sent() -> None:
            for job in uncollected:
                self._afterwards.collected(job)

        exchange.on_sent = sent
        log.info("jobs.reported", ended=len(over), going=len(going))
        return report(list(zip(over, bodies, strict=True)), texts, now)

    async def _body(self, head: Head) -> Any:
        raw = await self._read.result(head)
        return None if raw is None else load_json(raw)

    async def _list(self, caller: Caller, cursor: str | None) -> Mapping[str, Any]:
        if cursor is not None and not is_cursor(cursor):
            raise InvalidCallError("the cursor is not one that a list ended with")
        page = await self._read.list(caller, limit=PAGE, cursor=cursor)
        tasks = [await self._standing.task(head) for head in page.heads]
        return listed(list(zip(page.heads, tasks, strict=True)), page.cursor, JOBS)
