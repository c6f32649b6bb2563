"""The loop of every client written in Python: a step in, its outcome out, each a line of JSON.

It runs in venvs made from other people's pins, and uses only what all of them have.
"""

import json
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import anyio
import anyio.to_thread

Step = dict[str, Any]
Outcome = dict[str, Any]
More = Mapping[str, Callable[[Step], Awaitable[Outcome]]]  # what only some libraries can do


class Heard:
    """The progress of one call."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.begun = anyio.Event()

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        del total, message
        self.values.append(progress)
        self.begun.set()


class Inquiry:
    """What is asked of the client's user, who answers all of it as the step says."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._content: dict[str, Any] | None = None

    def begin(self, step: Step) -> None:
        self.asked = []
        self._content = step.get("answer")

    def answer(self, question: str) -> dict[str, Any]:
        """As the protocol has it: `action`, and the `content` of what is accepted."""
        self.asked.append(question)
        if self._content is None:
            return {"action": "decline"}
        return {"action": "accept", "content": self._content}


class Library(Protocol):
    """What differs between the libraries."""

    @property
    def refusal(self) -> type[Exception]:
        """What it raises for a JSON-RPC error; has an `error` with a code and a message."""

    @property
    def version(self) -> str:
        """Of the protocol, as negotiated."""

    async def tools(self) -> list[str]: ...

    async def call(
        self, tool: str, arguments: dict[str, Any], heard: Heard | None
    ) -> dict[str, Any]: ...

    async def withdraw(self) -> None:
        """What must be done about a call under way, before its task is cancelled."""


async def run(library: Library, inquiry: Inquiry, more: More | None = None) -> None:
    """Take steps from standard input until there are no more."""
    while line := await anyio.to_thread.run_sync(sys.stdin.readline):
        step = json.loads(line)
        inquiry.begin(step)
        try:
            outcome = await _take(library, step, more or {})
        except library.refusal as refused:
            error: Any = getattr(refused, "error")  # noqa: B009 - no type says that it has one
            outcome = {"error": {"code": error.code, "message": error.message}}
        sys.stdout.write(json.dumps({**outcome, "asked": inquiry.asked}) + "\n")
        sys.stdout.flush()


async def _take(library: Library, step: Step, more: More) -> Outcome:
    match step["do"]:
        case "list":
            return {"tools": await library.tools(), "version": library.version}
        case "call":
            heard = Heard() if step["progress"] else None
            result = await library.call(step["tool"], step["arguments"], heard)
            return {"result": result, "progress": heard.values if heard else []}
        case "cancel":
            await _cancel(library, step)
            return {"cancelled": True}
        case other:
            return await more[other](step)


async def _cancel(library: Library, step: Step) -> None:
    """Call, and cancel at the first sign of progress."""
    heard = Heard()
    async with anyio.create_task_group() as group:
        group.start_soon(library.call, step["tool"], step["arguments"], heard)
        await heard.begun.wait()
        await library.withdraw()
        group.cancel_scope.cancel()
