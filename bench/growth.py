"""What else grows with the number of jobs: a start, forgetting, memory in Redis for each."""

import asyncio
import re
import time
from dataclasses import dataclass, replace

from common.jobs.change import AtLeast, Change, Due
from common.jobs.endings import complete
from common.jobs.head import StoredCall
from common.jobs.transitions import claim
from common.reconciler import Reconciler
from common.runtime import Runtime
from common.store.base import JobStore
from tests.support.crowd import KEPT, WORKER, fill, finished
from tests.support.ledger import SUBMISSION, Ledger, open_ledger

SWEPT = 5_000  # records that are over
JOBS = 2_000  # lives to measure memory with
RESULT = b'{"content":[{"type":"text","text":"3 rows"}],"isError":false}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    start_s: float | None  # None: no such start
    swept: float  # records a second

    def lines(self, name: str) -> list[str]:
        found = [f"- {name}: records whose retention is over are forgotten at {self.swept:.0f}/s"]
        if self.start_s is not None:
            found.append(
                f"- {name}: an embedded start has its queues again in {self.start_s:.1f} s"
            )
        return found


async def sweep_rate(runtime: Runtime) -> float:
    """How many records a second one process forgets."""
    now = await runtime.store.now()
    records = [
        replace(each, change=replace(each.change, due=Due(after=-1000)))
        for each in finished(SWEPT, now, seed=3)
    ]
    await fill(runtime.store, iter(records))
    reconciler, swept = Reconciler(runtime), 0
    began = time.perf_counter()
    while taken := await reconciler.sweep():
        swept += taken
    return swept / (time.perf_counter() - began)


async def per_job(url: str) -> str:
    """Bytes that Redis takes for a waiting and for a finished job, with keys and entries."""
    lines = []
    for remark, setting in (("", "64"), (" with `hash-max-listpack-value 1024`", "1024")):
        async with open_ledger(url, f"m{setting}") as ledger:
            store: JobStore = ledger.store
            await _told(store, "CONFIG", "SET", "hash-max-listpack-value", setting)
            waiting, done = await _grown(ledger)
        lines.append(f"- Redis: {waiting} B for a waiting job, {done} B for a finished one{remark}")
    return "\n".join(lines)


async def _grown(ledger: Ledger) -> tuple[int, int]:
    few = replace(SUBMISSION, call=StoredCall(arguments={}))
    await asyncio.gather(*(ledger.submitted(few) for _ in range(JOBS // 4)))  # tables grow in steps
    before = await _used(ledger.store)
    heads = await asyncio.gather(*(ledger.submitted(few) for _ in range(JOBS)))
    await ledger.store.note_many({head.id: {"confirmed": AtLeast(1)} for head in heads})
    waiting = await _used(ledger.store) - before
    await ledger.store.beat(WORKER, {})

    async def lived(job: str) -> None:
        head = await ledger.done(await ledger.head(job), claim(WORKER))
        change: Change = complete(head, RESULT, KEPT, tool_error=False)
        await ledger.done(head, change)

    await asyncio.gather(*(lived(head.id) for head in heads))
    return waiting // JOBS, (await _used(ledger.store) - before) // JOBS


async def _used(store: JobStore) -> int:
    (used,) = re.findall(rb"used_memory:(\d+)", await _told(store, "INFO", "memory"))
    return int(used)


async def _told(store: JobStore, *command: str) -> bytes:
    """An operator's command, on the store's own connection."""
    answer: bytes = await store._send(*command)  # type: ignore[attr-defined]  # noqa: SLF001 - Redis only
    return answer
