"""Which replica takes the next call."""

from common.config.model import Balance
from workers.backends.balance import Candidate, choose, moved


def some(*loads: tuple[int, int, float | None]) -> list[Candidate]:
    return [Candidate(index=i, in_flight=n, latency=t) for i, n, t in loads]


def picks(policy: Balance, candidates: list[Candidate], count: int, rounds: int) -> list[int]:
    found, last = [], -1
    for _ in range(rounds):
        last = choose(policy, candidates, last, count)
        found.append(last)
    return found


def test_round_robin_goes_round_and_leaves_out_who_has_no_room() -> None:
    assert picks("round-robin", some((0, 0, None), (2, 3, None)), 3, 4) == [0, 2, 0, 2]


def test_the_least_busy_and_equals_in_turn() -> None:
    assert picks("least-busy", some((0, 1, None), (1, 0, None), (2, 0, None)), 3, 4) == [1, 2, 1, 2]
    assert picks("affinity", some((0, 1, None), (1, 0, None)), 2, 2) == [1, 1]


def test_priority_is_the_order_of_the_configuration() -> None:
    assert picks("priority", some((1, 5, 0.1), (2, 0, 0.1)), 3, 3) == [1, 1, 1]


def test_latency_prefers_the_quick_and_tries_the_unknown() -> None:
    assert choose("latency", some((0, 0, 0.5), (1, 9, 0.1)), 0, 2) == 1
    assert choose("latency", some((0, 0, 0.5), (1, 0, None)), 0, 2) == 1


def test_the_average_moves() -> None:
    assert moved(None, 2.0) == 2.0
    assert 1.0 < moved(1.0, 2.0) < 1.5
