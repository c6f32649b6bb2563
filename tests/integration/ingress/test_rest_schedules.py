"""Schedules over `/v1/jobs`: what is shown, and what is refused with what words."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.surfaces import Surface, surface

pytestmark = pytest.mark.anyio


@pytest.fixture
async def rest(tmp_path: Path) -> AsyncIterator[Surface]:
    async with surface(tmp_path) as made:
        yield made


async def post(rest: Surface, **more: Any) -> Any:
    body = {"tool": "b__export", "arguments": {"rows": 3}, **more}
    return await rest.http.post("/v1/jobs", json=body)


async def test_a_scheduled_job_says_what_it_waits_for(rest: Surface) -> None:
    answer = await post(rest, delay="10m")
    job = answer.json()
    assert (answer.status_code, job["state"]) == (202, "held")
    assert job["waiting_because"].startswith("scheduled for 20")
    assert job["waiting_because"].endswith("UTC, in 10 min")
    assert job["run_at"] > job["created_at"]
    listed = (await rest.http.get("/v1/jobs", params={"state": "held"})).json()["jobs"]
    assert [each["id"] for each in listed] == [job["id"]]
    cancelled = await rest.http.delete(f"/v1/jobs/{job['id']}")
    assert cancelled.json()["state"] == "cancelled"


async def test_a_moment_is_kept_as_it_was_said(rest: Surface) -> None:
    job = (await post(rest, run_at="2099-01-01T00:00:00Z")).json()
    assert "at most 366 days" in job["detail"]
    (queue,) = (await rest.http.get("/v1/queues")).json()["queues"]
    assert queue["waiting"] == 0


async def test_what_is_scheduled_does_not_wait_in_its_queue_yet(rest: Surface) -> None:
    for more in ({"delay": "10m"}, {}, {"priority": 0}, {"delay": "20m", "priority": 9}):
        await post(rest, **more)
    (queue,) = (await rest.http.get("/v1/queues")).json()["queues"]
    assert queue["waiting"] == 2
    metrics = (await rest.http.get("/metrics")).text
    assert 'longhaul_queue_waiting{queue="b"} 2.0' in metrics


async def test_the_past_runs_at_once(rest: Surface) -> None:
    job = (await post(rest, run_at="2001-01-01T00:00:00Z")).json()
    assert (job["state"], job["run_at"]) == ("queued", None)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"run_at": "tomorrow"}, "run_at should be a time as RFC 3339 has it"),
        ({"delay": "soon"}, "delay should be seconds, or a duration"),
        ({"delay": -1}, "delay should be seconds, or a duration"),
        ({"delay": "367d"}, "delay may be at most 366 days"),
        ({"delay": 1, "run_at": "2099-01-01T00:00:00Z"}, "say run_at or delay, not both"),
    ],
)
async def test_nonsense_is_refused_and_nothing_stored(
    rest: Surface, said: dict[str, Any], words: str
) -> None:
    answer = await post(rest, **said)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]
    assert (await rest.http.get("/v1/jobs")).json()["jobs"] == []


@pytest.mark.parametrize("delay", [True, [1], {"s": 1}])
async def test_another_type_is_refused_too(rest: Surface, delay: object) -> None:
    assert (await post(rest, delay=delay)).status_code == 422


async def test_a_paused_queue_is_shown_until_it_goes_on(rest: Surface) -> None:
    paused = (await rest.http.post("/v1/queues/b/pause")).json()["queues"]
    assert paused[0]["paused_since"].startswith("20")
    assert (await rest.http.get("/v1/queues")).json()["queues"][0]["paused_since"]
    resumed = (await rest.http.post("/v1/queues/b/resume")).json()["queues"]
    assert resumed[0]["paused_since"] is None
    assert (await rest.http.post("/v1/queues/none/pause")).status_code == 404
