"""The store in a file, and a process that is killed while it writes."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from common.clock import SystemClock
from common.jobs.indexes import ALL, DUE
from common.notifier.memory import MemoryNotifier
from common.store.sqlite.store import open_sqlite_store

pytestmark = pytest.mark.anyio

WRITER = """
import asyncio, sys
from pathlib import Path
from common.clock import SystemClock
from common.jobs.transitions import submit
from common.notifier.memory import MemoryNotifier
from common.store.sqlite.store import open_sqlite_store
from tests.support.ledger import SUBMISSION, a_job_id

async def one(store):
    while True:
        job_id = a_job_id()
        await store.commit(job_id, submit(SUBMISSION, 0), version=0)
        sys.stdout.write(job_id + "\\n")
        sys.stdout.flush()

async def main():
    async with open_sqlite_store(Path(sys.argv[1]), SystemClock(), MemoryNotifier()) as store:
        await asyncio.gather(*(one(store) for _ in range(8)))

asyncio.run(main())
"""


async def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "longhaul.db"
    answered = await asyncio.to_thread(answered_before_kill, path)
    async with open_sqlite_store(path, SystemClock(), MemoryNotifier()) as store:
        for job_id in answered:
            assert await store.get(job_id) is not None
        assert await store.count(DUE) == await store.count(ALL) >= len(answered)


def answered_before_kill(path: Path) -> list[str]:
    """Jobs that a process said were stored, until it was killed while it stored more."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        answered = [writer.stdout.readline().strip() for _ in range(200)]
        writer.kill()
        return answered + writer.stdout.read().splitlines()[:-1]  # the last line may be cut
