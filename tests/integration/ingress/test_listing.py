"""`GET /v1/jobs` with its filters: what it finds in a crowd of jobs, page by page."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from common.jobs.head import Head
from common.jobs.state import JobState
from ingress.operations import search
from ingress.operations.wanted import ERRORS
from tests.support.crowd import RARE_CALLER, RARE_ERROR, RARE_TOOL, fill, finished, waiting
from tests.support.ledger import all_pages
from tests.support.surfaces import Surface, surface
from tests.support.system import Place

pytestmark = pytest.mark.anyio
FINISHED, WAITING = 1_000, 400
COMMON_TOOL, COMMON_CALLER = "exporter__export_0", "key-00000000"

AGO: tuple[dict[str, str], ...] = (
    {"since": "1h"},
    {"since": "0s"},
    {"until": "1h"},
    {"until": "0s", "since": "900000d"},
)


@pytest.fixture
async def crowded(place: Place) -> AsyncIterator[Surface]:
    where = place.settings().model_dump(include={"broker_url", "store_url", "namespace"})
    async with surface(place.data, **where) as made:
        now = await made.runtime.store.now()
        await fill(made.runtime.store, finished(FINISHED, now))
        await fill(made.runtime.store, waiting(WAITING, now))
        yield made


async def listed(crowded: Surface, limit: int = 500, **query: str) -> list[dict[str, Any]]:
    """Every page of it."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        asked = query | {"limit": str(limit)} | ({"cursor": cursor} if cursor else {})
        answer = await crowded.http.get("/v1/jobs", params=asked)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert len(page["jobs"]) <= limit
        found += page["jobs"]
        cursor = page["cursor"]
        if cursor is None:
            return found


def since(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


async def test_every_filter_finds_exactly_what_fits(
    crowded: Surface, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = await all_pages(crowded.runtime.store, "all", limit=500)
    failed = [head for head in heads if head.state in ERRORS]
    middle = heads[FINISHED // 2 + WAITING].created_at
    bounds: dict[str, int]
    cases: list[tuple[dict[str, str], Callable[[Head], bool]]] = [
        ({}, lambda _: True),
        ({"state": "queued"}, lambda head: head.state is JobState.QUEUED),
        ({"tool": RARE_TOOL}, lambda head: head.tool == RARE_TOOL),
        ({"tool": COMMON_TOOL, "state": "failed"}, fits(COMMON_TOOL, JobState.FAILED)),
        ({"caller": RARE_CALLER}, lambda head: head.caller == RARE_CALLER),
        (
            {"caller": RARE_CALLER, "state": "completed"},
            lambda head: head.caller == RARE_CALLER and head.state is JobState.COMPLETED,
        ),
        ({"caller": COMMON_CALLER, "tool": COMMON_TOOL}, common),
        ({"since": since(middle)}, lambda head: head.created_at >= middle),
        ({"until": since(middle)}, lambda head: head.created_at < middle),
        (
            {"state": "failed", "since": since(failed[9].finished_at)},
            lambda head: (
                head.state is JobState.FAILED and head.finished_at >= failed[9].finished_at
            ),
        ),
        ({"error": "Rate Limit"}, lambda head: head in failed and "rate limit" in head.reason),
        ({"error": RARE_ERROR}, lambda head: head in failed and head.reason == RARE_ERROR),
        ({"error": "refused", "state": "queued"}, lambda _: False),
        ({"error": "refused", "caller": COMMON_CALLER, "state": "dead"}, died_of_refusal),
    ]
    for bounds in ({}, {"WHOLE": 20, "STEPS": 90, "LOOKS": 40, "CHUNK": 25}):
        for name, value in bounds.items():  # so small that every walk takes many requests
            monkeypatch.setattr(search, name, value)
        for query, wanted in cases:
            found = [job["id"] for job in await listed(crowded, 37, **query)]
            assert len(found) == len(set(found)), query
            assert set(found) == {head.id for head in heads if wanted(head)}, query


def fits(tool: str, state: JobState) -> Callable[[Head], bool]:
    return lambda head: head.tool == tool and head.state is state


def common(head: Head) -> bool:
    return head.caller == COMMON_CALLER and head.tool == COMMON_TOOL


def died_of_refusal(head: Head) -> bool:
    mine = head.caller == COMMON_CALLER and head.state is JobState.DEAD
    return mine and "refused" in head.reason


async def test_the_newest_come_first(crowded: Surface) -> None:
    created = [job["created_at"] for job in await listed(crowded, caller=COMMON_CALLER)]
    assert created == sorted(created, reverse=True)
    ended = [job["finished_at"] for job in await listed(crowded, state="failed")]
    assert ended == sorted(ended, reverse=True)
    rare = await listed(crowded, caller=RARE_CALLER, state="completed")
    ended = [job["finished_at"] for job in rare]
    assert ended == sorted(ended, reverse=True)


async def test_jobs_in_line_say_where_they_stand(crowded: Surface) -> None:
    jobs = await listed(crowded, state="queued", tool=COMMON_TOOL)
    alone = (await crowded.http.get(f"/v1/jobs/{jobs[0]['id']}")).json()
    assert jobs[0]["waiting_because"] == alone["waiting_because"]
    positions = await crowded.ingress.read.positions(
        [await crowded.head(job["id"]) for job in jobs]
    )
    assert sorted(positions.values(), reverse=True) == [positions[job["id"]] for job in jobs]


async def test_a_time_may_be_how_long_ago(anywhere: Surface) -> None:
    jobs = [(await anywhere.submit())["id"] for _ in range(2)]
    found = [[each["id"] for each in await listed(anywhere, 500, **query)] for query in AGO]
    assert [sorted(ids) for ids in found] == [sorted(jobs), [], [], sorted(jobs)]


@pytest.mark.parametrize(
    "query",
    [
        *({"since": text} for text in ("yesterday", "2026-01-01T00:00:00", "1800000000")),
        {"error": ""},
        {"stat": "x"},
    ],
)
async def test_what_is_no_filter_is_refused(anywhere: Surface, query: dict[str, str]) -> None:
    assert (await anywhere.http.get("/v1/jobs", params=query)).status_code == 422
