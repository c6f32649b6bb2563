"""However replays, drops and repetitions interleave, a letter never becomes two jobs."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from common.api_keys import Role
from common.config.urls import sqlite_url
from common.errors import LonghaulError
from common.jobs.endings import bury, lose
from common.jobs.head import Head
from common.jobs.ids import new_job_id
from common.jobs.indexes import ALL, REPLAYED
from common.jobs.state import LETTERS, JobState
from ingress.caller import Caller
from ingress.operations.letters import Wanted
from tests.support.ledger import all_pages
from tests.support.namespaces import Namespace, remove
from tests.support.servers import Shared
from tests.support.surfaces import Surface, surface

LETTER_COUNT = 4
OPERATOR = Caller(name="ada", role=Role.OPERATOR)
GONE = {"code": 1, "message": "the backend went away"}


@dataclass(frozen=True)
class Order:
    """What one operator asks for; all orders of a round are under way together."""

    kind: str
    letter: int
    lost: bool


orders = st.builds(
    Order,
    st.sampled_from(["one", "one", "all", "all", "page", "drop", "dry"]),
    st.integers(0, LETTER_COUNT - 1),
    st.booleans(),
)
rounds = st.lists(st.lists(orders, min_size=1, max_size=5), min_size=1, max_size=4)


@given(rounds)
@settings(max_examples=10, deadline=None)
def test_on_sqlite(history: list[list[Order]]) -> None:
    with TemporaryDirectory() as folder:
        anyio.run(live, Path(folder), {"store_url": sqlite_url(Path(folder) / "l.db")}, history)


@given(rounds)
@settings(max_examples=10, deadline=None)
def test_on_redis(redis_server: Shared, history: list[list[Order]]) -> None:
    namespace = Namespace.fresh()
    with TemporaryDirectory() as folder:
        where = {"store_url": redis_server.url, "namespace": namespace}
        anyio.run(live, Path(folder), where, history)
    remove(namespace, broker=None, store=redis_server.url)


async def live(folder: Path, where: dict[str, Any], history: list[list[Order]]) -> None:
    async with surface(folder, **where) as rest:
        letters = [await a_letter(rest, lost=number % 2 == 1) for number in range(LETTER_COUNT)]
        said: dict[str, set[str]] = {letter: set() for letter in letters}
        for together in history:
            came_of = await asyncio.gather(*(obey(rest, each, letters) for each in together))
            for letter, job in (pair for pairs in came_of for pair in pairs):
                said[letter].add(job)
        await check(rest, said)


async def check(rest: Surface, said: dict[str, set[str]]) -> None:
    heads = await all_pages(rest.runtime.store, ALL)
    made = Counter(head.spec.replay_of for head in heads if head.spec.replay_of)
    assert not made or max(made.values()) == 1
    for letter, jobs in said.items():
        assert len(jobs) <= 1  # whoever asked was told of the same job
        assert made[letter] == len(jobs)
    left = {head.id: head for head in heads if head.state in LETTERS}
    replayed = {letter for letter, head in left.items() if head.replayed_as}
    assert {head.id for head in await all_pages(rest.runtime.store, REPLAYED)} == replayed
    for letter in replayed:
        assert said[letter] == {left[letter].replayed_as}


async def a_letter(rest: Surface, *, lost: bool) -> str:
    job = str((await rest.submit())["id"])
    head: Head = await rest.start(job)
    retention = rest.retention
    end = lose(head, "it died", retention, seen_gone=False) if lost else bury(head, GONE, retention)
    await rest.commit(job, end)
    return job


async def obey(rest: Surface, order: Order, letters: list[str]) -> list[tuple[str, str]]:
    """What it was told: letters with the jobs that they run again as."""
    dead, letter = rest.ingress.dead_letters, letters[order.letter]
    try:
        match order.kind:
            case "one":
                came_of = [await dead.replay(letter, OPERATOR, lost=order.lost)]
            case "drop":
                await dead.drop(letter, OPERATOR)
                return []
            case "page":
                wanted = Wanted(state=JobState.LOST if order.lost else JobState.DEAD)
                found = await dead.list(OPERATOR, wanted, limit=2)
                ids = [head.id for head in found.heads]
                came_of = list(await dead.replay_many(ids, OPERATOR, dry_run=False, lost=True))
            case kind:
                ids = [*letters, letter, new_job_id(1)]
                came_of = list(
                    await dead.replay_many(ids, OPERATOR, dry_run=kind == "dry", lost=order.lost)
                )
    except LonghaulError:
        return []
    return [(each.letter, each.job) for each in came_of if each.job]
