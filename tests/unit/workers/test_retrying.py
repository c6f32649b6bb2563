"""How long a job waits for its next try, and what a tool's own error means where it may."""

from dataclasses import replace

import pytest

from common.errors import TOOL_FAILED
from common.jobs.change import Add, Now
from common.jobs.endings import RESULT, RetentionMs
from common.jobs.state import JobState
from common.wire import load_json
from ingress.mcp.answers import answer_of
from tests.support.heads import SPEC, a_head
from workers import outcome as ended
from workers.retrying import Terms
from workers.settlement import decide

RETENTION = RetentionMs(answered=1, completed=2, failed=3, dead=4)
ONCE = a_head(JobState.RUNNING, spec=replace(SPEC, retry_first_ms=1_000))
SAFE = replace(ONCE, spec=replace(ONCE.spec, repeatable=True))
HALF = Terms(chance=0.5)
GOOD = ended.Answered({"content": []})
BAD = ended.Answered({"content": [], "isError": True})
NOT_REACHED = ended.NotReached("nobody listens")
VANISHED = ended.Vanished("it went away")


@pytest.mark.parametrize(
    "outcome",
    [
        ended.Overloaded("busy", 7.0),
        ended.Vanished("HTTP 503", 7.0),
        ended.Refused({"code": 1, "message": "busy"}, 7.0),
    ],
    ids=str,
)
def test_what_a_backend_asks_for_comes_before_the_backoff(
    outcome: ended.Overloaded | ended.Vanished | ended.Refused,
) -> None:
    change = decide(outcome, SAFE, RETENTION, HALF)
    assert change.fields["not_before"] == Now(7_000 + 500)
    greedy = replace(outcome, retry_after=1e9)
    change = decide(greedy, SAFE, RETENTION, HALF)
    assert change.fields["not_before"] == Now(3_600_000 + 500)


def test_over_the_budget_a_retry_waits_longer_and_says_so() -> None:
    over = Terms(chance=0.5, over=30.0)
    for state in (JobState.RUNNING, JobState.INPUT_REQUIRED):
        change = decide(VANISHED, replace(SAFE, state=state), RETENTION, over)
        assert change.fields["not_before"] == Now(500 + 30_000)
        assert "backend exporter has had its share of retries" in str(change.fields["reason"])
    assert "share" not in str(decide(VANISHED, SAFE, RETENTION, HALF).fields["reason"])


@pytest.mark.parametrize(
    ("before", "chance", "delay"), [(0, 1, 1_000), (3, 0, 4_000), (9, 1, 60_000)]
)
def test_hand_backs_in_a_row_wait_longer_each(before: int, chance: float, delay: int) -> None:
    head = replace(ONCE, hand_backs=before)
    change = decide(NOT_REACHED, head, RETENTION, Terms(chance=chance))
    assert change.fields["not_before"] == Now(delay)
    assert change.fields["hand_backs"] == Add(1)


# --- a tool's own error


@pytest.mark.parametrize("repeatable", [True, False])
@pytest.mark.parametrize("configured", [True, False])
def test_a_tools_own_error_is_tried_again_only_where_that_is_said(
    *, configured: bool, repeatable: bool
) -> None:
    spec = replace(ONCE.spec, repeatable=repeatable, retry_tool_errors=configured)
    again = configured and repeatable
    change = decide(BAD, replace(ONCE, spec=spec), RETENTION, HALF)
    assert change.name == ("retried" if again else "completed")
    assert decide(GOOD, replace(ONCE, spec=spec), RETENTION, HALF).name == "completed"
    last = decide(BAD, replace(ONCE, spec=spec, tries=3), RETENTION, HALF)
    assert last.name == ("dead" if again else "completed")


def test_a_dead_letter_of_tool_errors_has_the_last_of_them() -> None:
    said = {"content": [{"type": "text", "text": " the disk is full\n"}], "isError": True}
    spec = replace(SAFE.spec, retry_tool_errors=True)
    change = decide(ended.Answered(said), replace(ONCE, spec=spec, tries=3), RETENTION, HALF)
    stored = load_json(change.parts[RESULT])
    assert stored["message"] == "the tool reported an error: the disk is full"
    assert (stored["code"], stored["data"]) == (TOOL_FAILED, {"result": said})
    assert answer_of(JobState.DEAD, stored, "j") == said
