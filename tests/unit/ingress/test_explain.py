"""Why a job is where it is: one sentence for every state and every reason to wait."""

from dataclasses import replace
from typing import Any

import pytest

from common.jobs.questions import ELICITATION, ROOTS, SAMPLING, Round
from common.jobs.state import TERMINAL, JobState
from common.store.base import Lease
from common.store.standing import BackendOrders, Order
from ingress.operations.explain import Situation, waiting_because, why
from ingress.operations.fleet import Fleet, fleet_of
from tests.support.heads import SPEC, a_head

NOW = 100_000  # ms
READY = {"state": "ready", "since": 1.0}
STARTING = {"state": "starting", "since": 2.0}
BROKEN = {"state": "backoff", "since": 3.0, "last_error": "no such file: acme"}
TWO_FREE = {"exporter": {"slots": 2, "busy": 0}}
TWO_BUSY = {"exporter": {"slots": 2, "busy": 2}}
ONE_BUSY = {"exporter": {"slots": 1, "busy": 1}}


def lease(info: dict[str, Any], name: str = "w1", *, alive: bool = True) -> Lease:
    return Lease(id=name, beat_at=NOW, alive=alive, info=info)


def worker(
    queues: dict[str, Any] = TWO_FREE, replica: dict[str, Any] | None = READY, **more: Any
) -> Fleet:
    backends = [] if replica is None else [{"name": "exporter", "replicas": [replica]}]
    info = {"role": "worker", "host": "box", "pid": 7, "queues": queues, "backends": backends}
    return fleet_of([lease(info | more)])


def situation(fleet: Fleet | None = None, **more: Any) -> Situation:
    return Situation(now=NOW, fleet=worker() if fleet is None else fleet, **more)


OPEN = READY | {"breaker": "open", "breaker_until": 43_460.0, "breaker_why": "it went away"}
RETIRING = READY | {"retiring": "restarted by ann"}
DISABLED = {"exporter": BackendOrders(disabled=Order(id="1", by="ann", at=43_450_000))}
NOBODY = fleet_of([])
ONLY_AN_INGRESS = fleet_of([lease({"role": "ingress"}, "i1")])
A_DEAD_WORKER = fleet_of([lease({"role": "worker", "queues": TWO_FREE}, alive=False)])
CONFIRMED = {"confirmed": 1}


@pytest.mark.parametrize(
    ("head", "seen", "words"),
    [
        # in line
        (CONFIRMED, situation(position=7), "queued behind 7 jobs"),
        (CONFIRMED, situation(position=1), "queued behind 1 job"),
        (
            CONFIRMED,
            situation(worker(TWO_BUSY), position=3),
            "queued behind 3 jobs; all 2 slots are busy",
        ),
        (
            CONFIRMED,
            situation(worker(TWO_BUSY), position=0),
            "next in queue exporter; all 2 slots are busy",
        ),
        (
            CONFIRMED,
            situation(worker(ONE_BUSY), position=0),
            "next in queue exporter; its slot is busy",
        ),
        (
            CONFIRMED,
            situation(position=0),
            "next in queue exporter; a worker is about to take it",
        ),
        ({}, situation(position=0), "the broker has not confirmed its token yet"),
        (CONFIRMED, situation(), "in queue exporter"),
        # nobody could take it
        ({}, situation(NOBODY, position=0), "no worker is running"),
        ({}, situation(ONLY_AN_INGRESS, position=0), "no worker is running"),
        ({}, situation(A_DEAD_WORKER, position=0), "no worker is running"),
        (
            {},
            situation(worker({"search": {"slots": 2, "busy": 0}}), position=0),
            "no worker carries queue exporter",
        ),
        (
            {},
            situation(worker(replica=None), position=0),
            "no worker that carries queue exporter runs backend exporter",
        ),
        (
            {},
            situation(worker(replica=BROKEN), position=4),
            "backend exporter is not up on any worker: no such file: acme",
        ),
        (
            {},
            situation(worker(replica=STARTING), position=4),
            "backend exporter is not up on any worker: starting",
        ),
        (
            {},
            situation(worker(replica=OPEN), position=4),
            "backend exporter gets no calls until 12:04:20 UTC: it went away",
        ),
        (
            {},
            situation(worker(replica=RETIRING), position=4),
            "backend exporter is about to be restarted",
        ),
        (
            {},
            situation(worker(draining=True), position=4),
            "every worker that carries queue exporter is stopping",
        ),
        (
            {},
            situation(replace(worker(), orders=DISABLED), position=4),
            "backend exporter is disabled by ann since 12:04:10 UTC",
        ),
        # the broker
        (
            {},
            situation(NOBODY, position=0, broker_down_since=43_450.0),
            "the broker is unreachable since 12:04:10 UTC; the job is stored",
        ),
        # parked
        (
            {"not_before": NOW + 2_000, "reason": "backend exporter has no free place"},
            situation(position=0),
            "backend exporter has no free place; looked at again in 2 s",
        ),
        (
            {"not_before": NOW + 2_000},
            situation(position=0),
            "it could not start yet; looked at again in 2 s",
        ),
    ],
)
def test_a_queued_job(head: dict[str, Any], seen: Situation, words: str) -> None:
    assert waiting_because(a_head(**head), seen) == words


@pytest.mark.parametrize(
    ("not_before", "seen", "words"),
    [
        (NOW + 14_000, situation(), "try 2 of 5 in 14 s: try 1 failed: no route"),
        (NOW + 600_000, situation(), "try 2 of 5 in 10 min: try 1 failed: no route"),
        (NOW + 7_500_000, situation(), "try 2 of 5 in 2 h 5 min: try 1 failed: no route"),
        (NOW + 3_500_000_000, situation(), "try 2 of 5 in 40 d: try 1 failed: no route"),
        (NOW - 1, situation(NOBODY), "try 2 of 5 is due: no worker is running"),
        (NOW - 1, situation(position=2), "try 2 of 5 is due: queued behind 2 jobs"),
        (
            NOW - 1,
            situation(broker_down_since=43_450.0),
            "try 2 of 5 is due: the broker is unreachable since 12:04:10 UTC; the job is stored",
        ),
    ],
)
def test_a_job_between_two_tries(not_before: int, seen: Situation, words: str) -> None:
    head = a_head(
        JobState.WAITING,
        spec=replace(SPEC, attempts=5),
        tries=1,
        not_before=not_before,
        reason="try 1 failed: no route",
    )
    assert waiting_because(head, seen) == words


def test_a_held_job_says_what_it_was_held_for() -> None:
    assert waiting_because(a_head(JobState.HELD, reason="its caller's share is used"), NOBODY_SEEN)
    assert waiting_because(a_head(JobState.HELD), NOBODY_SEEN) == "held back until its turn comes"


ASKED_HEAD = a_head(JobState.INPUT_REQUIRED, answer_by=43_200_000)
OPERATOR = "an operator (its caller cannot be asked)"
DELETE = {"method": ELICITATION, "params": {"message": "Delete  it\nall?"}}
VISIT = {"method": ELICITATION, "params": {"mode": "url", "message": "Pay", "url": "https://x"}}


@pytest.mark.parametrize(
    ("requests", "operator", "words"),
    [
        ({"1.a": DELETE}, (), "the tool asks its caller: Delete it all? (1.a); "),
        ({"1.a": VISIT}, (), "the tool asks its caller: Pay - to be done at https://x (1.a); "),
        (
            {"2.a": {"method": SAMPLING, "params": {}}, "2.b": DELETE},
            ("2.a",),
            f"the tool asks {OPERATOR}: something of the caller's model (2.a), and 1 more; ",
        ),
        (
            {"1.a": {"method": ROOTS}},
            (),
            "the tool asks its caller: which folders it may use (1.a); ",
        ),
    ],
)
def test_a_question_says_what_whom_and_until_when(
    requests: dict[str, Any], operator: tuple[str, ...], words: str
) -> None:
    asked = Round(number=1, requests=requests, operator=operator)
    seen = replace(NOBODY_SEEN, asked=asked)
    until = "an answer is of use until 1970-01-01 12:00:00 UTC"
    assert waiting_because(ASKED_HEAD, seen) == words + until


def test_a_question_whose_round_was_not_read_is_told_all_the_same() -> None:
    words = waiting_because(a_head(JobState.INPUT_REQUIRED), NOBODY_SEEN)
    assert words == "the tool asked a question and waits for the answer"


def test_a_running_job_says_where_and_how_long() -> None:
    words = why(a_head(JobState.RUNNING, started_at=NOW - 12_000), situation())
    assert words == "running for 12 s on box (pid 7), try 1 of 3"


def test_a_job_whose_worker_is_silent_says_so() -> None:
    words = why(a_head(JobState.RUNNING), NOBODY_SEEN)
    assert words == "worker w1 has not been heard of lately; it is decided when that is sure"


def test_a_cancelled_job_says_that_its_tool_still_runs() -> None:
    head = a_head(JobState.CANCELLED, reason="cancelled by alice", still_running=True)
    assert why(head, NOBODY_SEEN) == "cancelled (cancelled by alice); the tool has not let go yet"


@pytest.mark.parametrize("state", sorted(TERMINAL))
def test_an_ended_job_says_how(state: JobState) -> None:
    assert why(a_head(state, reason="the tool reported an error"), NOBODY_SEEN) == (
        "the tool reported an error"
    )
    assert why(a_head(state), NOBODY_SEEN) == str(state)


@pytest.mark.parametrize("state", sorted({JobState.RUNNING, *TERMINAL}))
def test_what_does_not_wait_has_no_reason_to(state: JobState) -> None:
    assert waiting_because(a_head(state, reason="done"), NOBODY_SEEN) is None


def test_slots_add_up_over_workers() -> None:
    info = {"role": "worker", "queues": TWO_BUSY, "backends": []}
    fleet = fleet_of([lease(info, "w1"), lease(info, "w2"), lease(info, "w3", alive=False)])
    assert (fleet.slots("exporter").slots, fleet.slots("exporter").busy) == (4, 4)


def test_a_worker_that_stops_has_no_slots_and_its_jobs_run_all_the_same() -> None:
    backend = {"name": "exporter", "replicas": [READY]}
    info = {"role": "worker", "queues": TWO_BUSY, "backends": [backend]}
    free = {**info, "queues": {"exporter": {"slots": 2, "busy": 1}}}
    fleet = fleet_of([lease(info | {"draining": True}, "w1"), lease(free, "w2")])
    assert (fleet.slots("exporter").slots, fleet.running("exporter")) == (2, 3)
    seen = situation(fleet, position=3)
    assert waiting_because(a_head(), seen) == "queued behind 3 jobs"


def test_a_process_of_another_version_may_say_more_or_less() -> None:
    odd = {"role": "worker", "queues": {"exporter": {"slots": 1, "mood": "fine"}}, "new": 1}
    bare = fleet_of([lease(odd, "w1"), lease({}, "w2")])
    assert bare.slots("exporter").slots == 1
    assert [process.role for process in bare.processes] == ["worker", ""]


NOBODY_SEEN = situation(NOBODY)
