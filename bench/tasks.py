"""Tasks as their clients have them: submitted, then asked for or listened for until they end."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from bench.caller import CallFailedError, Connection, message, request

IN_FLIGHT = (64, 256)
GROUP = 16  # tasks that one listen stream hears of
OFTEN = 0.05  # seconds
WITHIN = 20.0  # seconds for a task to end
_FAILURES = (CallFailedError, OSError, asyncio.IncompleteReadError, TimeoutError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many tasks a second came to their end, and how many did not."""

    rate: float
    errors: int


@dataclass(slots=True)
class Tally:
    """What is left to do, over all lanes."""

    left: int
    done: int = 0
    errors: int = 0

    def take(self, most: int) -> int:
        taken = min(most, self.left)
        self.left -= taken
        return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where tasks are submitted."""

    url: str
    tool: str

    async def submit(self, connection: Connection) -> dict[str, Any]:
        """The `CreateTaskResult`."""
        wanted = request(self.url, self.tool, {"text": "ping"}, tasks=True)
        created = _result(await connection.answer(wanted))
        if created.get("resultType") != "task":
            raise CallFailedError(str(created))
        return created

    async def end(self, connection: Connection, task: str, pause: float) -> None:
        """Ask every so many seconds until the task has ended."""
        ask = message(self.url, "tasks/get", {"taskId": task}, name=task, tasks=True)
        deadline = time.monotonic() + WITHIN
        while time.monotonic() < deadline:
            await asyncio.sleep(pause)
            if _has_ended(_result(await connection.answer(ask))):
                return
        raise TimeoutError(task)

    async def hear(self, connection: Connection, tasks: set[str]) -> int:
        """Listen until all have ended; how many did in time."""
        wanted = message(
            self.url, "subscriptions/listen", {"notifications": {"taskIds": [*tasks]}}, tasks=True
        )
        left = set(tasks)
        try:
            async with asyncio.timeout(WITHIN):
                async for chunk in connection.stream(wanted):
                    left -= {task["taskId"] for task in _told(chunk) if _has_ended(task)}
                    if not left:
                        break
        except TimeoutError:
            pass
        return len(tasks) - len(left)


async def submit_latency(server: Server, tasks: int) -> list[float]:
    """Seconds until each `CreateTaskResult`; one task at a time."""
    connection = await Connection.to(server.url)
    times = []
    for _ in range(tasks):
        started = time.perf_counter()
        created = await server.submit(connection)
        times.append(time.perf_counter() - started)
        await server.end(connection, created["taskId"], 0.005)
    connection.close()
    return times


async def polled(server: Server, *, at_once: int, tasks: int, often: float | None = None) -> Pace:
    """So many under way all the time, each asked for as its server says, or so often (seconds)."""

    async def one(tally: Tally) -> None:
        connection = await Connection.to(server.url)
        try:
            while tally.take(1):
                created = await server.submit(connection)
                pause = created["pollIntervalMs"] / 1000 if often is None else often
                await server.end(connection, created["taskId"], pause)
                tally.done += 1
        finally:
            connection.close()

    return await _run(one, at_once, tasks)


async def pushed(server: Server, *, at_once: int, tasks: int) -> Pace:
    """So many under way, in groups; each group is submitted, then listened for."""

    async def group(tally: Tally) -> None:
        connections = [await Connection.to(server.url) for _ in range(GROUP)]
        try:
            while size := tally.take(GROUP):
                created = await asyncio.gather(
                    *(server.submit(connection) for connection in connections[:size])
                )
                listening = await Connection.to(server.url)
                ended = await server.hear(listening, {each["taskId"] for each in created})
                listening.close()
                tally.done += ended
                tally.errors += size - ended
        finally:
            for connection in connections:
                connection.close()

    return await _run(group, at_once // GROUP, tasks)


async def _run(lane: Callable[[Tally], Awaitable[None]], lanes: int, tasks: int) -> Pace:
    tally = Tally(tasks)
    started = time.perf_counter()
    await asyncio.gather(*(_persist(partial(lane, tally), tally) for _ in range(lanes)))
    return Pace(rate=tally.done / (time.perf_counter() - started), errors=tally.errors)


async def _persist(lane: Callable[[], Awaitable[None]], tally: Tally) -> None:
    """A lane that failed begins anew; what failed is counted."""
    while tally.left:
        try:
            await lane()
        except _FAILURES:
            tally.errors += 1


def _result(body: bytes) -> dict[str, Any]:
    """Of a JSON answer, or of the last event of a stream. Raises: CallFailedError."""
    answer = orjson.loads(body if body.startswith(b"{") else body.rpartition(b"data: ")[2])
    if "result" not in answer:
        raise CallFailedError(str(answer))
    result: dict[str, Any] = answer["result"]
    return result


def _told(chunk: bytes) -> list[dict[str, Any]]:
    """The tasks that a piece of a stream tells of; events come whole."""
    lines = [line[6:] for line in chunk.splitlines() if line.startswith(b"data: {")]
    messages = [orjson.loads(line) for line in lines]
    return [each["params"] for each in messages if each.get("method") == "notifications/tasks"]


def _has_ended(task: dict[str, Any]) -> bool:
    if task["status"] in {"failed", "cancelled"}:
        raise CallFailedError(str(task))
    return bool(task["status"] == "completed")
