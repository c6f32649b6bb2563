"""Forgetting a backend: every job that waits for it fails, however it waits, and no other one."""

import asyncio
from typing import Any

import pytest

from common.catalogue import catalogue_entry
from common.jobs.asking import ask, ask_owned
from common.jobs.head import Head
from common.jobs.questions import Round
from common.jobs.state import JobState
from common.jobs.transitions import retry
from ingress.operations import backends
from tests.support.surfaces import EXPORT, Surface
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

ASKED = Round(number=1, requests={"1.a": {"method": "roots/list"}})
AN_HOUR = 3_600_000
LATER = {"delay": "1h"}


async def started(on: Surface) -> Head:
    return await on.start(await submitted(on))


async def submitted(on: Surface, **more: Any) -> str:
    return str((await on.submit(**more))["id"])


async def states(on: Surface, jobs: list[str]) -> list[JobState]:
    return [(await on.head(job)).state for job in jobs]


async def test_whatever_waits_for_it_fails(anywhere: Surface) -> None:
    retried, asked, owned = [await started(anywhere) for _ in range(3)]
    await anywhere.commit(retried.id, retry(retried, AN_HOUR, {"code": 1, "message": "no"}))
    await anywhere.commit(asked.id, ask(asked, ASKED, AN_HOUR))
    await anywhere.commit(owned.id, ask_owned(owned, ASKED, AN_HOUR))
    waiting = [await submitted(anywhere), await submitted(anywhere, **LATER), retried.id, asked.id]
    kept = [(await started(anywhere)).id, owned.id]
    listing = {"tools": [EXPORT]}
    entry = catalogue_entry(backend="c", started_at=1, trusted=False, listing=listing)
    await anywhere.runtime.store.put_catalogue(entry)
    anywhere.ingress.feed.refresh_soon()
    await until(lambda: "c__export" in anywhere.ingress.feed.current.tools)
    others = [await submitted(anywhere, tool="c__export", **more) for more in ({}, LATER)]

    forgotten = await backends.forget(anywhere.ingress, "b", "ann")
    assert (forgotten.tools, forgotten.failed) == (1, len(waiting))
    assert set(await states(anywhere, waiting)) == {JobState.FAILED}
    assert await states(anywhere, kept) == [JobState.RUNNING, JobState.INPUT_REQUIRED]
    assert await states(anywhere, others) == [JobState.QUEUED, JobState.HELD]


async def test_more_than_a_page_of_them(anywhere: Surface) -> None:
    count = backends.PAGE + 1
    await asyncio.gather(*(submitted(anywhere, **LATER) for _ in range(count)))
    assert (await backends.forget(anywhere.ingress, "b", "ann")).failed == count
