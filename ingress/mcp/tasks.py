"""`tasks/get`, `tasks/update`, `tasks/cancel` of the tasks extension (2026-07-28).

A task is a client's view of a job of its caller, however the job came to be.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value

from common.errors import InvalidAnswerError, NotFoundError
from common.jobs.head import Head
from common.wire import load_json
from ingress.caller import Caller
from ingress.ingress import Ingress
from ingress.mcp.afterwards import Afterwards
from ingress.mcp.declared import Context, capabilities_of, declares_tasks, tasks_missing
from ingress.mcp.eras import stamped
from ingress.mcp.exchange import Exchange, exchange_of
from ingress.mcp.standing import Standing
from ingress.mcp.task_views import Status, detailed, ended

METHODS = frozenset({"tasks/get", "tasks/update", "tasks/cancel"})
NOT_FOUND = "Task not found"  # unknown, expired, or somebody else's: the same for all


class Tasks:
    def __init__(self, ingress: Ingress, afterwards: Afterwards) -> None:
        self._read = ingress.read
        self._cancel = ingress.cancel
        self._respond = ingress.respond
        self._afterwards = afterwards
        self._standing = Standing(ingress.runtime, ingress.respond, ingress.durations)

    async def __call__(self, ctx: Context) -> dict[str, Any]:
        """The wire's result.

        Raises:
            MCPError: No such task, or the client has not declared the extension.
            StoreUnreachableError: Nobody knows.
        """
        exchange = exchange_of(ctx)
        if not declares_tasks(capabilities_of(ctx, exchange)):
            raise tasks_missing()
        _check_name(ctx)
        head = await self.find(ctx.params, exchange.caller)
        match ctx.method:
            case "tasks/get":
                self.note_collected(exchange, head)
                return stamped(await self.detailed(head))
            case "tasks/update":
                await self._update(head, (ctx.params or {}).get("inputResponses"), exchange.caller)
            case "tasks/cancel":
                await self._cancel.cancel(head.id, "cancelled by its client")
        return stamped({})

    async def _update(self, head: Head, answers: object, caller: Caller) -> None:
        """Unknown keys, and what is answered already, are passed over."""
        if not isinstance(answers, Mapping):
            raise MCPError(types.INVALID_PARAMS, "inputResponses should be an object")
        try:
            await self._respond.answer(head.id, answers, caller.over_mcp)
        except InvalidAnswerError as error:
            raise MCPError(types.INVALID_PARAMS, str(error)) from None
        except NotFoundError:
            raise MCPError(types.INVALID_PARAMS, NOT_FOUND) from None

    async def find(self, params: Mapping[str, Any] | None, caller: Caller) -> Head:
        """The record behind `taskId`.

        Raises:
            MCPError: There is none for this caller (-32602).
        """
        task = (params or {}).get("taskId")
        if not isinstance(task, str):
            raise MCPError(types.INVALID_PARAMS, "taskId should be a string")
        try:
            return await self._read.head(task, caller.over_mcp)
        except NotFoundError:
            raise MCPError(types.INVALID_PARAMS, NOT_FOUND) from None

    async def detailed(self, head: Head) -> dict[str, Any]:
        """`DetailedTask`, as it is now."""
        task = await self._standing.task(head)
        body: Any = None
        if task.status in {"completed", "failed"}:
            raw = await self._read.result(head)
            body = None if raw is None else load_json(raw)
        if task.status == "completed" and isinstance(body, Mapping):
            body = stamped(body)  # as tools/call would have answered
        return detailed(task, head, body)

    def status(self, head: Head) -> Status:
        return self._standing.status(head)

    def now(self) -> int:
        return self._standing.now()

    def note_told(self, head: Head) -> None:
        """Its client has heard of its end: no identical call attaches to its job any more."""
        if head.let_go_at and not head.collected:
            self._afterwards.collected(head.id)

    def note_collected(self, exchange: Exchange, head: Head) -> None:
        """The result is about to go out: no identical call attaches to its job any more."""
        if head.let_go_at and not head.collected and ended(self._standing.status(head)):
            exchange.on_sent = partial(self._afterwards.collected, head.id)


def _check_name(ctx: Context) -> None:
    """The header Mcp-Name is the task's id; clients that leave it out are served all the same."""
    sent = None if ctx.request is None else ctx.request.headers.get(MCP_NAME_HEADER)
    if sent is not None and decode_header_value(sent) != (ctx.params or {}).get("taskId"):
        raise MCPError(
            types.HEADER_MISMATCH, f"the header Mcp-Name is not the taskId of the request: {sent}"
        )
