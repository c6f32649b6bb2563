"""Calls that a backend runs as tasks of its own, in either dialect: which, and how they end.

Only tools that cannot be called otherwise are run so. A plain call brings progress, log lines and
questions as they come, and its result at once; a task is looked at every few seconds.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from mcp_types import (
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MISSING_REQUIRED_CLIENT_CAPABILITY,
)

from common.clock import Clock
from common.tasks import cancel_and_join
from workers.backends import jsonrpc
from workers.backends.base import (
    Call,
    ConnectionLost,
    InputRequired,
    Listener,
    NotStarted,
    Overloaded,
    ProtocolFailure,
    TaskUnknown,
)
from workers.backends.envelope import modern_meta, questions_in, task_headers, with_tasks
from workers.backends.handshake import Agreed
from workers.backends.link import Link
from workers.backends.task_state import (
    TaskState,
    cancelled_there,
    has_core_tasks,
    needs_extension,
    read_state,
    requires_task,
    result_in,
    unrelated,
)

_SAY_UNKNOWN = frozenset(
    {INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, MISSING_REQUIRED_CLIENT_CAPABILITY}
)


class ServedTasks:
    """The tasks of one session's backend."""

    def __init__(self, link: Link, agreed: Agreed, clock: Clock) -> None:
        self._link = link
        self._clock = clock
        self._agreed = agreed
        self._modern = agreed.era == "modern"
        self._listed: frozenset[str] = frozenset()
        self._demanded: set[str] = set()

    # --- which calls

    def listed(self, tools: Iterable[Mapping[str, Any]]) -> None:
        """Before 2026-07-28 the list says which tools cannot be called otherwise."""
        if has_core_tasks(self._agreed):
            self._listed = frozenset(tool["name"] for tool in tools if requires_task(tool))

    def wants(self, tool: str) -> bool:
        return tool in self._listed or tool in self._demanded

    def demands(self, tool: str, error: ProtocolFailure) -> bool:
        """Since 2026-07-28 a tool says so by refusing a plain call: nothing has run then."""
        if not self._modern or not needs_extension(error):
            return False
        self._demanded.add(tool)
        return True

    def begun(self, result: Mapping[str, Any]) -> TaskState | None:
        """The task that the result of such a call only announces.

        Raises:
            ProtocolFailure: It cannot be read.
        """
        if self._modern:
            return read_state(result) if result.get("resultType") == "task" else None
        task = result.get("task")
        return read_state(task) if isinstance(task, dict) else None

    # --- to their ends

    async def follow(
        self, call: Call, told: "Told", begun: TaskState | None = None
    ) -> dict[str, Any]:
        """The raw result of `call.task`; cancelling this leaves the task as it is.

        Raises:
            ConnectionLost: It goes on, as far as is known.
            ProtocolFailure: It ended with an error, or was cancelled at the backend.
            InputRequired: It asks what `call.input_responses` does not answer (2026-07-28).
            TaskUnknown: The backend does not know it.
        """
        pause = 0.0
        if begun is not None:
            told.hear(begun)
            pause = begun.pause
        follow = self._follow_modern if self._modern else self._follow_legacy
        return await follow(call, told, pause)

    async def cancel(self, call: Call) -> None:
        await self._ask("tasks/cancel", call)

    async def _follow_modern(self, call: Call, told: "Told", pause: float) -> dict[str, Any]:
        sent: set[str] = set()
        while True:
            await self._clock.sleep(pause)
            state = await self._look(call, told)
            match state.status:
                case "completed":
                    return result_in(state)
                case "failed":
                    raise jsonrpc.failure(state.body.get("error"))
                case "cancelled":
                    raise cancelled_there()
                case "input_required":
                    await self._answer(call, state, sent)
            pause = state.pause

    async def _answer(self, call: Call, state: TaskState, sent: set[str]) -> None:
        """Keys are never used again by a task: what is known of one is its answer."""
        requests, known = questions_in(state.body), call.input_responses or {}
        fresh = {key: known[key] for key in requests if key in known and key not in sent}
        if fresh:
            await self._ask("tasks/update", call, inputResponses=fresh)
            sent.update(fresh)
        unknown = {key: request for key, request in requests.items() if key not in known}
        if unknown:
            raise InputRequired(unknown, None)

    async def _follow_legacy(self, call: Call, told: "Told", pause: float) -> dict[str, Any]:
        """`tasks/result` waits for the end, and is the way on which the task asks questions."""
        fetching: asyncio.Task[dict[str, Any]] | None = None
        try:
            while True:
                if fetching is None:
                    await self._clock.sleep(pause)
                else:
                    await asyncio.wait({fetching}, timeout=pause)
                    if fetching.done():
                        return unrelated(fetching.result())
                state = await self._look(call, told)
                if state.status == "cancelled":
                    raise cancelled_there()
                if fetching is None and state.status != "working":
                    fetching = asyncio.create_task(self._ask("tasks/result", call, told))
                pause = state.pause
        finally:
            await cancel_and_join(fetching)

    async def _look(self, call: Call, told: "Told") -> TaskState:
        try:
            body = await self._ask("tasks/get", call)
        except ProtocolFailure as error:
            if error.code in _SAY_UNKNOWN:
                why = f"the backend does not know its own task: {error.message}"
                raise TaskUnknown(why) from error
            raise ConnectionLost(f"its task could not be looked at: {error.message}") from error
        state = read_state(body)
        told.hear(state)
        return state

    async def _ask(
        self, method: str, call: Call, listener: Listener | None = None, **more: Any
    ) -> dict[str, Any]:
        params, headers = {"taskId": call.task, **more}, None
        if self._modern:
            version = self._agreed.version
            params["_meta"] = modern_meta(version, with_tasks(call.client_capabilities))
            headers = task_headers(method, call.task or "", version)
        try:
            return await self._link.request(method, params, headers=headers, listener=listener)
        except (NotStarted, Overloaded) as error:
            # This was not started, but the tool was.
            raise ConnectionLost(error.message, retry_after=error.retry_after) from error


class Told:
    """The `Listener` of a call that is a task: what that says of itself is progress, too.

    Each new message is a step, as long as the tool itself has not said how far it is.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._message: str | None = None
        self._steps = 0
        self._last: tuple[float, float | None] | None = None
        self.ask = listener.ask
        self.entrusted = listener.entrusted
        self.log = listener.log
        self.output = listener.output
        self.checkpoint = listener.checkpoint

    def progress(self, value: float, total: float | None, message: str | None) -> None:
        self._last = value, total
        self._listener.progress(value, total, message)

    def hear(self, state: TaskState) -> None:
        if not state.message or state.message == self._message:
            return
        self._message = state.message
        self._steps += 1
        value, total = self._last or (float(self._steps), None)
        self._listener.progress(value, total, state.message)
