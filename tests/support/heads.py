"""Heads made up for tests of pure functions."""

from typing import Any

from common.jobs.head import Head, Spec
from common.jobs.state import JobState

SPEC = Spec(backend="exporter", backend_tool="export", tool_version="v1", priority=4)
_RUNS = frozenset({JobState.RUNNING, JobState.INPUT_REQUIRED})


def a_head(state: JobState = JobState.QUEUED, **fields: Any) -> Head:
    """A job in this state, as its transitions leave it; `fields` differ."""
    given: dict[str, Any] = {
        "id": "0" * 22,
        "version": 3,
        "tool": "exporter__export",
        "queue": "exporter",
        "caller": "local",
        "spec": SPEC,
        "created_at": 1_000,
        "handed_off": True,
    }
    if state in _RUNS:
        given |= {"owner": "w1", "claims": 1, "tries": 1, "started_at": 2_000}
    return Head(state=state, **(given | fields))
