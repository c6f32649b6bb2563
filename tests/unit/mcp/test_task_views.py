"""A job as its client's task: every state, both dialects, and nothing that was terminal changes."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from common.errors import OUTCOME_UNKNOWN
from common.jobs.endings import RetentionMs
from common.jobs.head import Head
from common.jobs.state import JobState
from common.jobs.transitions import LEASE_MS
from ingress.mcp.task_views import (
    POLL_LEAST_MS,
    POLL_MOST_MS,
    UNKNOWN,
    TaskView,
    create_result,
    detailed,
    legacy_task,
    poll_ms,
    ttl_ms,
    view,
)
from ingress.operations.durations import Durations
from tests.support.heads import SPEC, a_head

RETENTION = RetentionMs(answered=1, completed=1_000, failed=2_000, dead=3_000)
NOW = 100_000
QUESTION = {"1.a": {"method": "elicitation/create", "params": {}}}


def shown(head: Head, *, now: int = NOW, position: int | None = None, **more: Any) -> TaskView:
    requests = more.pop("requests", {})
    return view(head, now=now, position=position, retention=RETENTION, requests=requests)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (JobState.HELD, "working"),
        (JobState.QUEUED, "working"),
        (JobState.RUNNING, "working"),
        (JobState.WAITING, "working"),
        (JobState.INPUT_REQUIRED, "working"),  # nothing of it is for this client
        (JobState.COMPLETED, "completed"),
        (JobState.FAILED, "failed"),
        (JobState.CANCELLED, "cancelled"),
        (JobState.DEAD, "failed"),
    ],
)
def test_every_state_has_its_status(state: JobState, status: str) -> None:
    task = shown(a_head(state, finished_at=50_000))
    assert task.status == status
    assert create_result(task)["resultType"] == "task"
    assert task.message


def test_a_question_is_shown_while_it_is_open() -> None:
    task = shown(a_head(JobState.INPUT_REQUIRED), requests=QUESTION)
    assert task.status == "input_required"
    assert detailed(task, a_head(JobState.INPUT_REQUIRED), None)["inputRequests"] == QUESTION
    assert "inputRequests" not in create_result(task)


def test_a_loss_is_told_when_its_grace_is_over_and_never_taken_back() -> None:
    lost = a_head(JobState.LOST, lost_at=NOW, finished_at=NOW, reason="outcome unknown: it died")
    error = {"code": OUTCOME_UNKNOWN, "message": lost.reason}
    assert shown(lost, now=NOW + LEASE_MS - 1).status == "working"
    told = shown(lost, now=NOW + LEASE_MS)
    assert told.status == "failed"
    later = replace(lost, finished_at=NOW + 2 * LEASE_MS, reason="done", tool_error=True)
    for state, body in [(JobState.COMPLETED, {"content": []}), (JobState.FAILED, {"code": 1})]:
        finished = replace(later, state=state)
        again = shown(finished, now=NOW + 3 * LEASE_MS)
        assert again == told
        assert detailed(again, finished, body) == detailed(told, lost, error)
        assert legacy_task(again, finished) == legacy_task(told, lost)
    assert detailed(told, lost, error)["error"] == UNKNOWN


def test_a_finish_within_the_grace_is_an_ordinary_end() -> None:
    head = a_head(JobState.COMPLETED, lost_at=NOW, finished_at=NOW + LEASE_MS - 1)
    assert shown(head, now=NOW + LEASE_MS).status == "completed"
    assert detailed(shown(head), head, {"content": []})["result"] == {"content": []}


def test_a_tools_own_error_is_a_failure_in_the_older_dialect_alone() -> None:
    head = a_head(JobState.COMPLETED, tool_error=True, finished_at=50_000)
    task = shown(head)
    assert (task.status, legacy_task(task, head)["status"]) == ("completed", "failed")
    well = replace(head, tool_error=False)
    assert legacy_task(shown(well), well)["status"] == "completed"


def test_times_are_iso_and_count_from_creation() -> None:
    head = a_head(JobState.COMPLETED, created_at=1_000, started_at=2_000, finished_at=61_500)
    task = shown(head)
    made = create_result(task)
    assert made["createdAt"] == "1970-01-01T00:00:01.000Z"
    assert made["lastUpdatedAt"] == "1970-01-01T00:01:01.500Z"
    assert made["ttlMs"] == 60_500 + RETENTION.completed
    assert legacy_task(task, head)["ttl"] == made["ttlMs"]


def test_without_limits_there_is_no_ttl_and_it_is_said() -> None:
    head = a_head(JobState.RUNNING)
    assert ttl_ms(head, RETENTION) is None
    assert create_result(shown(head))["ttlMs"] is None
    limited = replace(head, spec=replace(SPEC, run_ms=500, attempts=2), created_at=1_000)
    assert ttl_ms(limited, RETENTION) == 1_000 + 2 * 500 + RETENTION.completed
    with_deadline = replace(head, deadline=9_000, created_at=1_000)
    assert ttl_ms(with_deadline, RETENTION) == 8_000 + RETENTION.completed


def progress(value: float, total: float | None, message: str | None = None) -> str:
    return orjson.dumps([value, total, message]).decode()


def test_the_pace_of_polling_follows_what_is_left() -> None:
    def polls(**fields: Any) -> int:
        return poll_ms(a_head(JobState.RUNNING, **{"started_at": 0} | fields), NOW, None, None)

    half = polls(progress=progress(5, 10))
    almost = polls(progress=progress(99, 100))
    assert POLL_LEAST_MS <= almost < half <= POLL_MOST_MS
    assert polls(started_at=NOW) == POLL_LEAST_MS
    assert polls(started_at=NOW - 10_000_000) == POLL_MOST_MS
    queued = [poll_ms(a_head(JobState.QUEUED), NOW, position, None) for position in (0, 3, 1_000)]
    assert queued == sorted(queued)
    assert queued[-1] == POLL_MOST_MS


def test_what_others_like_it_took_says_when_to_ask() -> None:
    def polls(age: int, expected: int, state: JobState = JobState.RUNNING) -> int:
        head = a_head(state, created_at=NOW - age, started_at=NOW - age)
        return poll_ms(head, NOW, 0, expected)

    assert polls(0, 5) == POLL_LEAST_MS
    assert polls(0, 5, JobState.QUEUED) == POLL_LEAST_MS
    assert polls(1_000, 5_000) == 4_000
    assert polls(8_000, 5_000) == 4_000  # later than the others: half its age
    assert polls(0, 10_000_000) == POLL_MOST_MS


def test_the_newest_ends_weigh_most() -> None:
    durations = Durations()
    assert durations.of("export") is None
    for took in (1_000, 1_000, 11_000):
        head = a_head(JobState.COMPLETED, tool="export", created_at=1, finished_at=1 + took)
        durations.saw(head)
    assert durations.of("export") == 3_000
    durations.saw(a_head(JobState.LOST, tool="export", created_at=1, finished_at=0))
    assert durations.of("export") == 3_000


def test_the_message_says_how_it_stands() -> None:
    running = a_head(JobState.RUNNING, tries=2, progress=progress(3, 10, "exporting"))
    assert shown(running).message == "running, try 2, 3 of 10: exporting"
    assert shown(a_head(JobState.QUEUED), position=4).message == "queued, 4 jobs before it"
    waiting = a_head(JobState.WAITING, tries=1, reason="try 1 failed: no disk", not_before=NOW + 9)
    assert shown(waiting).message == "try 2 of 3 follows; try 1 failed: no disk"
    assert shown(a_head(JobState.CANCELLED, reason="enough")).message == "enough"
