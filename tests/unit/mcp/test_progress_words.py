"""A heartbeat says where the job stands and how long its caller has waited."""

import pytest

from common.jobs.head import Head, Spec
from common.jobs.state import JobState
from ingress.mcp.progress import describe

SPEC = Spec(backend="b", backend_tool="t", tool_version="v", priority=4)


def head(state: JobState, *, tries: int = 0, started_at: int = 0) -> Head:
    return Head(
        id="j",
        version=1,
        state=state,
        tool="t",
        queue="q",
        caller="local",
        spec=SPEC,
        tries=tries,
        started_at=started_at,
    )


@pytest.mark.parametrize(
    ("job", "position", "words"),
    [
        (head(JobState.QUEUED), 7, "queued, 7 jobs before it, 42 s"),
        (head(JobState.QUEUED), 1, "queued, 1 job before it, 42 s"),
        (head(JobState.QUEUED), 0, "queued, next in line, 42 s"),
        (head(JobState.QUEUED), None, "queued, 42 s"),
        (head(JobState.RUNNING, tries=1, started_at=1_000), None, "running for 31 s"),
        (head(JobState.RUNNING, tries=2, started_at=1_000), None, "running for 31 s, try 2"),
        (head(JobState.RUNNING, tries=1, started_at=99_000), None, "running for 0 s"),
        (head(JobState.WAITING, tries=1), None, "waiting for try 2, 42 s"),
        (head(JobState.INPUT_REQUIRED, tries=1), None, "waiting for an answer, 42 s"),
    ],
)
def test_words(job: Head, position: int | None, words: str) -> None:
    assert describe(job, position, 42.7, 32_000) == words
