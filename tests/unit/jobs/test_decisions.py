"""What a delivery means, and what is done about a record whose check is due."""

import pytest

from common.errors import TIMED_OUT
from common.jobs.decisions import (
    NEWER_FORMAT_DELAY_MS,
    OVERTAKEN_MS,
    Adopt,
    BuryToken,
    Cancel,
    ClaimAt,
    Expire,
    Facts,
    Fail,
    HandOff,
    KeepLonger,
    Leave,
    LetGo,
    Look,
    Passing,
    Publish,
    PutBack,
    Reaction,
    Release,
    Remove,
    Rescue,
    decide_due,
    react,
)
from common.jobs.head import RECORD_FORMAT, Head
from common.jobs.state import TERMINAL, JobState
from common.jobs.token import Token, ToolRef
from tests.support.heads import a_head

NOW = 1_000_000
TOOL = ToolRef(backend="exporter", tool="export", version="v1")


def reaction(
    head: Head | None, *, generation: int = 1, runs_here: bool = False, age_ms: int = 0
) -> Reaction:
    token = Token(job="0" * 22, generation=generation, version=1, tool=TOOL)
    return react(token, head, NOW, runs_here=runs_here, age_ms=age_ms, shortest_ms=600_000)


# --- a delivery


def test_a_token_without_a_record_never_runs() -> None:
    assert reaction(None, age_ms=600_000) == BuryToken()
    assert isinstance(reaction(None, age_ms=600_001), Release)


def test_a_record_of_a_newer_format_is_left_to_a_newer_worker() -> None:
    head = a_head(format=RECORD_FORMAT + 1)
    assert reaction(head) == PutBack(NEWER_FORMAT_DELAY_MS)
    long_over = a_head(JobState.FAILED, format=RECORD_FORMAT + 1, deadline=1)
    assert decide_due(long_over, NOW, Facts(owner_gone=True)) == Leave()


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_the_token_of_an_ended_job_is_released(state: JobState) -> None:
    assert reaction(a_head(state)) == Release(f"already {state}")
    assert isinstance(reaction(a_head(state), runs_here=True), Release)


def test_a_redelivery_of_what_runs_here_is_adopted() -> None:
    running = a_head(JobState.RUNNING)
    assert reaction(running, runs_here=True) == Adopt()
    assert reaction(running) == Rescue()


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.WAITING])
def test_an_older_token_is_released(state: JobState) -> None:
    assert isinstance(reaction(a_head(state, generation=2)), Release)


@pytest.mark.parametrize("state", [JobState.HELD, JobState.INPUT_REQUIRED])
def test_a_job_that_has_no_token_releases_one(state: JobState) -> None:
    assert reaction(a_head(state)) == Release(f"it is {state}")


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.WAITING])
def test_an_early_token_comes_back_when_it_is_time(state: JobState) -> None:
    assert reaction(a_head(state, not_before=NOW + 70)) == PutBack(70)
    assert reaction(a_head(state, not_before=NOW)) == ClaimAt(3)


@pytest.mark.parametrize("clock", ["deadline", "queue_deadline"])
def test_a_job_whose_clock_ran_out_is_not_claimed(clock: str) -> None:
    assert reaction(a_head(JobState.QUEUED, **{clock: NOW})) == Expire()
    assert reaction(a_head(JobState.QUEUED, **{clock: NOW + 1})) == ClaimAt(3)


def test_a_token_of_an_older_version_claims_at_the_current_one() -> None:
    assert reaction(a_head(version=9)) == ClaimAt(9)


# --- a check that is due


def test_an_ended_record_is_removed() -> None:
    for state in TERMINAL:
        assert decide_due(a_head(state), NOW, Facts()) == Remove()


def test_an_ended_record_whose_answer_may_be_lost_is_kept_longer() -> None:
    held = {"holder": "i1", "handed_off": False}
    assert decide_due(a_head(JobState.COMPLETED, **held), NOW, Facts()) == KeepLonger()
    assert decide_due(a_head(JobState.DEAD, **held), NOW, Facts()) == Remove()
    answered = a_head(JobState.COMPLETED, answered=True, **held)
    assert decide_due(answered, NOW, Facts()) == Remove()


def test_a_cancelled_run_is_let_go_when_its_worker_is_gone() -> None:
    head = a_head(JobState.CANCELLED, still_running=True, owner="w1")
    assert decide_due(head, NOW, Facts()) == Leave()
    assert decide_due(head, NOW, Facts(owner_gone=True)) == LetGo()


def test_a_running_job_is_rescued_before_anything_else() -> None:
    head = a_head(JobState.RUNNING, cancel_at=1)
    assert decide_due(head, NOW, Facts(owner_gone=True, holder_gone=True)) == Rescue()
    assert isinstance(decide_due(head, NOW, Facts()), Cancel)


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.WAITING, JobState.RUNNING])
def test_a_job_whose_ingress_died_goes_on_as_if_handed_off(state: JobState) -> None:
    assert decide_due(a_head(state), NOW, Facts(holder_gone=True)) == HandOff()


@pytest.mark.parametrize("state", [JobState.HELD, JobState.QUEUED, JobState.WAITING])
def test_what_nobody_waits_for_is_cancelled_in_time(state: JobState) -> None:
    assert isinstance(decide_due(a_head(state, cancel_at=NOW), NOW, Facts()), Cancel)
    assert not isinstance(decide_due(a_head(state, cancel_at=NOW + 1), NOW, Facts()), Cancel)


@pytest.mark.parametrize("clock", ["deadline", "queue_deadline"])
def test_a_clock_that_runs_out_while_it_waits_fails_it(clock: str) -> None:
    action = decide_due(a_head(JobState.QUEUED, **{clock: NOW}), NOW, Facts())
    assert isinstance(action, Fail)
    assert action.code == TIMED_OUT


def test_a_token_that_was_never_confirmed_is_published_again() -> None:
    action = decide_due(a_head(confirmed=0), NOW, Facts(queue_ready=7))
    assert isinstance(action, Publish)
    again = decide_due(a_head(generation=2, confirmed=1), NOW, Facts(queue_ready=7))
    assert isinstance(again, Publish)


def test_a_confirmed_token_is_looked_for_in_its_queue() -> None:
    head = a_head(confirmed=1, published_at=NOW)
    assert decide_due(head, NOW, Facts()) == Look()
    assert isinstance(decide_due(head, NOW, Facts(queue_ready=-1)), Publish)
    assert isinstance(decide_due(head, NOW, Facts(queue_ready=0)), Publish)
    assert decide_due(head, NOW, Facts(queue_ready=1)) == Leave()


OF_OURS = {"priority": 4, "published_at": NOW + 1, "claimed_at": NOW + OVERTAKEN_MS + 1}


@pytest.mark.parametrize(
    ("passing", "lost"),
    [
        ({}, True),
        ({"priority": 0}, True),
        ({"priority": 5}, False),  # it may overtake
        ({"published_at": NOW}, False),  # it is not younger
        ({"claimed_at": NOW + OVERTAKEN_MS}, False),  # not long ago enough to be sure
    ],
)
def test_a_token_that_a_younger_one_overtook_is_published_again(
    passing: dict[str, int], *, lost: bool
) -> None:
    head = a_head(confirmed=1, published_at=NOW)
    facts = Facts(queue_ready=5, passings=(Passing(**(OF_OURS | passing)),))
    assert isinstance(decide_due(head, NOW + 60_000, facts), Publish) is lost
    from_lane = a_head(confirmed=1, published_at=NOW, not_before=NOW + 1)
    assert decide_due(from_lane, NOW + 60_000, facts) == Leave()


def test_what_has_waited_long_is_published_again_each_time_later() -> None:
    def action(minutes: float, checks: int = 0) -> object:
        head = a_head(confirmed=1, published_at=NOW, checks=checks)
        return decide_due(head, NOW + round(minutes * 60_000) + 1, Facts(queue_ready=5))

    assert action(9.9) == Leave()
    assert isinstance(action(10), Publish)
    assert action(10, checks=40) == Leave()
    assert isinstance(action(20, checks=40), Publish)


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.WAITING])
def test_what_waits_for_its_time_is_left_alone(state: JobState) -> None:
    assert decide_due(a_head(state, not_before=NOW + 1), NOW, Facts(queue_ready=0)) == Leave()


@pytest.mark.parametrize("state", [JobState.HELD, JobState.INPUT_REQUIRED])
def test_what_has_no_token_gets_none(state: JobState) -> None:
    assert decide_due(a_head(state), NOW, Facts(queue_ready=0)) == Leave()
