"""Relay: what a running call says, on its way to the record and to whoever watches.

Progress is coalesced to four notes a second, the newest wins; log lines keep their order and are
bounded. A note that cannot be written is lost: it decides nothing.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

import structlog

from common.errors import StoreUnreachableError
from common.jobs.change import Note, Now, Value
from common.notifier.hints import JobHint, encode_hint
from common.pace import Pace
from common.runtime import Runtime
from common.wire import dump_json
from workers.runs import Run

log = structlog.get_logger(__name__)

RATE = 4  # notes of progress in any second
LINES = 256  # log lines waiting to go out
LAST_WORDS = 2.0  # seconds for what is still waiting when the run has ended

Progress = tuple[float, float | None, str | None]


class Relay:
    """The `Listener` of one run. Costs nothing until the call says something."""

    def __init__(self, runtime: Runtime, run: Run) -> None:
        self._runtime = runtime
        self._run = run
        self._head = run.head
        self._progress: Progress | None = None
        self._lines: deque[Mapping[str, Any]] = deque(maxlen=LINES)
        self._said = asyncio.Event()
        self._pace = Pace(RATE)
        self._task: asyncio.Task[None] | None = None

    def progress(self, value: float, total: float | None, message: str | None) -> None:
        self._progress = (value, total, message)
        self._run.sign_of_life()
        self._wake()

    def log(self, params: Mapping[str, Any]) -> None:
        self._lines.append(params)
        self._run.sign_of_life()
        self._wake()

    async def aclose(self) -> None:
        """Send what is left, so that progress never follows the result."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        try:
            async with asyncio.timeout(LAST_WORDS):
                await self._send()
        except TimeoutError:
            log.debug("relay.cut_short", job_id=self._head.id)

    def _wake(self) -> None:
        self._said.set()
        if self._task is None:
            self._task = asyncio.create_task(self._pass_on())

    async def _pass_on(self) -> None:
        while True:
            await self._said.wait()
            self._said.clear()
            await self._send()
            now = self._runtime.clock.monotonic()
            self._pace = self._pace.after(now)
            await self._runtime.clock.sleep(self._pace.wait(now))

    async def _send(self) -> None:
        try:
            while self._lines:
                await self._note(Note(claim=self._head.claims, relay=self._hint("log")))
            if self._progress is not None:
                body = dump_json(self._progress).decode()
                fields: dict[str, Value] = {"progress": body, "progress_at": Now()}
                hint = self._hint("progress")
                await self._note(Note(fields=fields, claim=self._head.claims, relay=hint))
                self._runtime.metrics.progress_relayed.inc()
        except StoreUnreachableError:
            log.debug("relay.store_away", job_id=self._head.id)

    def _hint(self, kind: str) -> bytes:
        if kind == "log":
            body: Any = self._lines.popleft()
        else:
            body, self._progress = self._progress, None
        return encode_hint(JobHint(kind=kind, job=self._head.id, state="running", body=body))

    async def _note(self, note: Note) -> None:
        if not await self._runtime.store.note(self._head.id, note):
            self._run.claim_gone()
