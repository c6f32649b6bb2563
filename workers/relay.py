"""Relay: what a running call says, on its way to the record and to whoever watches.

At most four notes a second carry all of it: the newest progress, the log lines in their order, and
both with the tool's own output for the record. What watchers are told may be lost with a note that
cannot be written; the output goes with the next one, the last before the record's end.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from common.errors import StoreUnreachableError
from common.jobs.change import Note, Now, Value
from common.jobs.checkpoint import CHECKPOINT_BYTES, stored, too_large
from common.jobs.output import encode_message, encode_text
from common.notifier.hints import JobHint, encode_hint
from common.pace import Pace
from common.runtime import Runtime
from common.wire import dump_json
from workers.outcome import too_many_bytes
from workers.runs import Run
from workers.said import Said

log = structlog.get_logger(__name__)

RATE = 4  # notes of progress in any second
LINES = 256  # log lines waiting for watchers
LAST_WORDS = 5.0  # seconds from the run's end for a store that is away to take what is left

Progress = tuple[float, float | None, str | None]


class Relay:
    """The `Listener` of one run. Costs nothing until the call says something."""

    def __init__(self, runtime: Runtime, run: Run) -> None:
        self._runtime = runtime
        self._run = run
        self._head = run.head
        self._progress: Progress | None = None
        self._lines: deque[Mapping[str, Any]] = deque(maxlen=LINES)
        self._output = Said(run.head.claims)
        self._checkpoint: bytes | None = None  # the newest that is not known to be stored
        self._message: str | None = None  # the newest that stands in the output
        self._stirred = asyncio.Event()
        self._sending = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def progress(self, value: float, total: float | None, message: str | None) -> None:
        self._progress = (value, total, message)
        if message and message != self._message:
            self._message = message
            self._say([encode_message("progress", message)])
        self._run.sign_of_life()
        self._wake()

    def output(self, text: str) -> None:
        self._say(encode_text(text))
        self._run.sign_of_life()
        self._wake()

    def checkpoint(self, said: object) -> None:
        raw = dump_json(said)
        if len(raw) > CHECKPOINT_BYTES:
            self._runtime.metrics.checkpoints.labels(kept="no").inc()
            self._output.add([encode_message("log", too_large(len(raw)), "warning", "longhaul")])
        else:
            self._checkpoint = self._run.checkpoint = raw
        self._run.sign_of_life()
        self._wake()

    def log(self, params: Mapping[str, Any]) -> None:
        self._lines.append(params)
        self._say(_entries(params))
        self._run.sign_of_life()
        self._wake()

    async def aclose(self) -> None:
        """Send what is left: after the record's end its fence takes nothing more.

        Waits for as long as the store answers; while it is away, begins again for `LAST_WORDS`.
        """
        if self._task is None:
            return
        try:
            async with self._sending:  # a note on its way arrives: cut off, it may be half told
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)
                await self._send_rest()
        finally:
            self._task.cancel()

    async def _send_rest(self) -> None:
        clock = self._runtime.clock
        until = clock.monotonic() + LAST_WORDS
        answered = await self._send()
        while self._left and (answered or clock.monotonic() < until):
            if not answered:
                await clock.sleep(1 / RATE)
            answered = await self._send()
        if self._left:
            log.warning("relay.cut_short", job_id=self._head.id)

    def _say(self, entries: Sequence[bytes]) -> None:
        said, most = self._output, self._runtime.settings.max_output
        before = said.total
        said.add(entries)
        if before <= most < said.total:
            self._runtime.metrics.outputs_too_large.labels(tool=self._head.tool).inc()
            what = "what the tool said while it ran"
            self._run.refuse(too_many_bytes(what, said.total, most))

    @property
    def _left(self) -> bool:
        """Something that the record must have is not known to be there."""
        return self._output.left or self._checkpoint is not None

    def _wake(self) -> None:
        self._stirred.set()
        if self._task is None:
            self._task = asyncio.create_task(self._pass_on())

    async def _pass_on(self) -> None:
        pace = Pace(RATE)
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            async with self._sending:
                if not await self._send():
                    self._stirred.set()  # the output goes with the next note
            now = self._runtime.clock.monotonic()
            pace = pace.after(now)
            await self._runtime.clock.sleep(pace.wait(now))

    async def _send(self) -> bool:
        """One note, if there is anything to say; False: the store is away."""
        fields: dict[str, Value] = {}
        hints = [self._hint("log", line) for line in self._lines]
        self._lines.clear()
        if self._progress is not None:
            fields = {"progress": dump_json(self._progress).decode(), "progress_at": Now()}
            hints.append(self._hint("progress", self._progress))
            self._progress = None
            self._runtime.metrics.progress_relayed.inc()
        output, checkpoint = self._output.batch(), self._checkpoint
        if not hints and output is None and checkpoint is None:
            return True
        fields |= stored(checkpoint)
        note = Note(
            fields=fields,
            claim=self._head.claims,
            relay=tuple(hints),
            output=output,
            checkpoint=checkpoint,
        )
        try:
            if not await self._runtime.store.note(self._head.id, note):
                self._run.claim_gone()
        except StoreUnreachableError:
            log.debug("relay.store_away", job_id=self._head.id)
            return False
        self._output.written()
        if checkpoint is not None:
            self._runtime.metrics.checkpoints.labels(kept="yes").inc()
            if self._checkpoint is checkpoint:  # no newer one came meanwhile
                self._checkpoint = None
        self._runtime.metrics.output_entries.inc(len(output.entries) if output else 0)
        return True

    def _hint(self, kind: str, body: Any) -> bytes:
        return encode_hint(JobHint(kind=kind, job=self._head.id, state="running", body=body))


def _entries(params: Mapping[str, Any]) -> list[bytes]:
    """A log line as output; one that says nothing only carried something else."""
    data, level, logger = params.get("data"), params.get("level"), params.get("logger")
    text = data if isinstance(data, str) else dump_json(data).decode()
    if not text:
        return []
    names = [name if isinstance(name, str) else "" for name in (level, logger)]
    return [encode_message("log", text, *names)]
