"""When a replica gets calls, and when one call tries it again."""

from common.config.model import Breaker
from workers.backends.breaker import Circuit

RULE = Breaker(failures=3, cooldown=30.0)


def after(failures: int, now: float = 0.0) -> Circuit:
    circuit = Circuit()
    for _ in range(failures):
        circuit = circuit.failed(now, RULE, "gone")
    return circuit


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    assert after(2).state(0.0) == "closed"
    opened = after(3)
    assert (opened.state(0.0), opened.admits(0.0), opened.why) == ("open", False, "gone")


def test_an_answer_between_them_counts_anew() -> None:
    circuit = after(2).went_well(0.0).failed(0.0, RULE, "gone")
    assert circuit == Circuit(failures=1, why="gone")


def test_after_the_cooldown_one_call_goes_through() -> None:
    circuit = after(3)
    assert not circuit.admits(29.9)
    assert (circuit.state(30.0), circuit.admits(30.0)) == ("half-open", True)
    assert not circuit.begun(30.0).admits(31.0)


def test_the_trial_closes_it() -> None:
    assert after(3).begun(30.0).went_well(31.0) == Circuit()


def test_a_failed_trial_opens_it_for_another_cooldown() -> None:
    circuit = after(3).begun(30.0).failed(31.0, RULE, "again")
    assert (circuit.state(60.9), circuit.state(61.0)) == ("open", "half-open")
    assert circuit.why == "again"


def test_a_trial_that_shows_nothing_is_made_by_another_call() -> None:
    assert after(3).begun(30.0).gave_up().admits(31.0)


def test_what_began_before_it_opened_says_nothing() -> None:
    circuit = after(3)
    assert circuit.went_well(10.0) == circuit.failed(10.0, RULE, "late") == circuit
