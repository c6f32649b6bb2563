"""The tasks of 2025-11-25 (SEP-1686) over the same jobs."""

import math
from collections.abc import Mapping
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

from common.jobs.head import Head
from common.jobs.state import TERMINAL, JobState
from common.jobs.transitions import LEASE_MS
from common.wire import load_json
from ingress.caller import Caller
from ingress.ingress import Ingress
from ingress.mcp.answers import answer_of
from ingress.mcp.asking import RELATED_TASK, Asking
from ingress.mcp.declared import Context
from ingress.mcp.eras import for_legacy
from ingress.mcp.exchange import Exchange, exchange_of
from ingress.mcp.holding import Holding
from ingress.mcp.standing import Standing
from ingress.mcp.task_views import ended, error_of, legacy_task
from ingress.mcp.tasks import Tasks
from ingress.operations.read import is_cursor

METHODS = frozenset({"tasks/get", "tasks/result", "tasks/list", "tasks/cancel"})
PAGE = 50  # tasks
STOPS = TERMINAL | {JobState.INPUT_REQUIRED}
ASK_AGAIN = "the process stops; ask for the task's result again"


class LegacyTasks:
    def __init__(self, ingress: Ingress, tasks: Tasks, holding: Holding, asking: Asking) -> None:
        self._clock = ingress.runtime.clock
        self._read = ingress.read
        self._follower = ingress.follower
        self._cancel = ingress.cancel
        self._respond = ingress.respond
        self._tasks = tasks
        self._holding = holding
        self._asking = asking
        self._standing = Standing(ingress.runtime, ingress.respond, ingress.durations)

    async def __call__(self, ctx: Context) -> dict[str, Any]:
        """The wire's result.

        Raises:
            MCPError: No such task or method, or the error that the task ended with.
            StoreUnreachableError: Nobody knows.
        """
        exchange = exchange_of(ctx)
        if ctx.method == "tasks/list":
            return await self._list(exchange.caller, (ctx.params or {}).get("cursor"))
        head = await self._tasks.find(ctx.params, exchange.caller)
        match ctx.method:
            case "tasks/get":
                return await self._show(head)
            case "tasks/cancel":
                return await self._cancelled(head, exchange.caller)
            case _:
                return await self._result(ctx, exchange, head)

    async def _show(self, head: Head) -> dict[str, Any]:
        return legacy_task(await self._standing.task(head), head)

    async def _cancelled(self, head: Head, caller: Caller) -> dict[str, Any]:
        if not await self._cancel.cancel(head.id, "cancelled by its client"):
            raise MCPError(types.INVALID_PARAMS, "Cannot cancel a task that has ended")
        return await self._show(await self._tasks.find({"taskId": head.id}, caller))

    async def _list(self, caller: Caller, cursor: object) -> dict[str, Any]:
        """The caller's own; who is not identified would see everybody's."""
        if not caller.identified:
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found", "tasks/list")
        if cursor is not None and not (isinstance(cursor, str) and is_cursor(cursor)):
            raise MCPError(types.INVALID_PARAMS, "Invalid cursor")
        page = await self._read.list(caller.over_mcp, limit=PAGE, cursor=cursor)
        listed: dict[str, Any] = {"tasks": [await self._show(head) for head in page.heads]}
        if page.cursor is not None:
            listed["nextCursor"] = page.cursor
        return listed

    async def _result(self, ctx: Context, exchange: Exchange, head: Head) -> dict[str, Any]:
        """Blocks until the task has ended, then answers exactly as its call would have been."""
        if not ended(self._standing.status(head)):
            head = await self._until_end(ctx, exchange, head)
        self._tasks.note_collected(exchange, head)
        raw = await self._read.result(head)
        body = None if raw is None else load_json(raw)
        if self._standing.status(head) == "failed":
            error = error_of(head, body)
            raise MCPError(int(error["code"]), str(error["message"]), error.get("data"))
        return _related(for_legacy(answer_of(head.state, body, head.id)), head.id)

    async def _until_end(self, ctx: Context, exchange: Exchange, head: Head) -> Head:
        async with self._follower.follow(head.id, everything=True) as watch:
            while True:
                # It may have ended, or asked, before the watch stood.
                head = await self._tasks.find({"taskId": head.id}, exchange.caller)
                if head.terminal:
                    break
                asked = await self._respond.open_round(head)
                if asked is not None:
                    self._asking.ask(ctx, head, asked, as_task=True)
                stop = await self._holding.until_end(
                    exchange, watch, None, math.inf, STOPS, alone=False
                )
                if stop is None:
                    break
        if not head.terminal:
            raise MCPError(types.INTERNAL_ERROR, ASK_AGAIN, {"retryable": True})
        if head.state is JobState.LOST:  # its own late finish within a lease is an ordinary end
            await self._clock.sleep(max(0, head.lost_at + LEASE_MS - self._standing.now()) / 1000)
            head = await self._tasks.find({"taskId": head.id}, exchange.caller)
        return head


def _related(result: Mapping[str, Any], task: str) -> dict[str, Any]:
    meta = result.get("_meta")
    kept = meta if isinstance(meta, Mapping) else {}
    return {**result, "_meta": {**kept, RELATED_TASK: {"taskId": task}}}
