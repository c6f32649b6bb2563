"""What a run shows about its replica: who answers works, whatever the answer is."""

from typing import get_args

from common.jobs.questions import Round
from workers import outcome as ended
from workers.backends.base import Verdict
from workers.measure import verdict_of
from workers.outcome import Outcome

WELL = Verdict(None)
VERDICTS: list[tuple[Outcome, Verdict | None]] = [
    (ended.Answered({"content": []}), WELL),
    (ended.Answered({"content": [], "isError": True}), WELL),
    (ended.Refused({"code": -1, "message": "no"}), WELL),
    (ended.Asked(Round(number=1, requests={})), WELL),
    (ended.NotReached("nobody listens"), Verdict("nobody listens")),
    (ended.NotReady("its arguments are elsewhere"), None),
    (ended.Overloaded("come back later", 5.0), Verdict("come back later")),
    (ended.CutOff("it went away"), Verdict("it went away")),
    (ended.Vanished("it went away"), Verdict("it went away")),
    (ended.TimedOut("idle", 5.0), Verdict("a call ran out of its idle time")),
    (ended.TimedOut("run", 5.0), Verdict("a call ran out of its run time")),
    (ended.TimedOut("deadline", 5.0), None),  # the job's own, from its submission
    (ended.Stopped(), None),
    (ended.Drained(), None),
]


def test_every_outcome_has_its_verdict() -> None:
    assert {type(outcome) for outcome, _ in VERDICTS} == set(get_args(Outcome))
    for outcome, verdict in VERDICTS:
        assert verdict_of(outcome) == verdict
