"""What Longhaul's own tools say of jobs."""

import pytest

from common.jobs.endings import RetentionMs
from common.jobs.state import JobState
from common.jobs.transitions import LEASE_MS
from ingress.mcp.reports import listed
from ingress.mcp.task_views import view
from tests.support.heads import a_head

RETENTION = RetentionMs(answered=1, completed=1_000, failed=2_000, dead=3_000)
LOST_AT = 50_000


@pytest.mark.parametrize("state", [each for each in JobState if each is not JobState.LOST])
def test_a_list_of_jobs_says_their_states(state: JobState) -> None:
    said = "failed" if state is JobState.DEAD else str(state)
    assert words_of(state, now=LOST_AT).startswith(said)


@pytest.mark.parametrize(("after", "said"), [(1, "running"), (LEASE_MS, "failed")])
def test_a_loss_is_told_once_it_is_sure(after: int, said: str) -> None:
    assert words_of(JobState.LOST, now=LOST_AT + after).startswith(f"{said}: ")


def words_of(state: JobState, *, now: int) -> str:
    head = a_head(state, finished_at=LOST_AT, lost_at=LOST_AT if state is JobState.LOST else 0)
    task = view(head, now=now, position=None, retention=RETENTION, requests={})
    (line,) = listed([(head, task)], None, "longhaul_jobs")["content"]
    return str(line["text"]).removeprefix(f"{head.id} {head.tool} ")
