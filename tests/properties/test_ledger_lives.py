"""Whatever processes, store, broker and callers do, the ledger keeps what Longhaul promises."""

from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from common.config.urls import sqlite_url
from tests.support.journal import UNEXPECTED
from tests.support.lives import live_on
from tests.support.namespaces import Namespace, remove
from tests.support.rehearsal import COUNTED
from tests.support.servers import Shared

# A seed makes all numbers new; a history that fails shrinks by leaving numbers out.
seeds = st.integers(0, 2**32)
histories = st.lists(st.integers(0, 2**16), min_size=80, max_size=100, unique=True)
lives = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


@given(seeds, histories)
@lives
def test_a_life_in_sqlite(seed: int, history: list[int]) -> None:
    with TemporaryDirectory() as folder:
        anyio.run(live, sqlite_url(Path(folder) / "longhaul.db"), "lh", seed, history)


@given(seeds, histories)
@lives
def test_a_life_in_redis(redis_server: Shared, seed: int, history: list[int]) -> None:
    namespace = Namespace.fresh()
    try:
        anyio.run(live, redis_server.url, namespace, seed, history)
    finally:
        remove(namespace, broker=None, store=redis_server.url)


async def live(url: str, namespace: str, seed: int, history: list[int]) -> None:
    with capture_logs() as lines:
        async with live_on(url, namespace) as life:
            for step, number in enumerate(history):
                await life.happen(Random(f"{seed} {number}"))
                await life.check()
                if step % COUNTED == 0:
                    await life.count()
            await life.end()
    assert [line for line in lines if line["event"] in UNEXPECTED] == []
