"""Which replica takes the next call."""

from common.config.model import Balance
from workers.backends.balance import Candidate, choose, home_of, moved


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


def test_priority_is_the_order_of_the_configuration() -> None:
    assert picks("priority", some((1, 5, 0.1), (2, 0, 0.1)), 3, 3) == [1, 1, 1]


def test_latency_prefers_the_quick_and_tries_the_unknown() -> None:
    assert choose("latency", some((0, 0, 0.5), (1, 9, 0.1)), 0, 2) == 1
    assert choose("latency", some((0, 0, 0.5), (1, 0, None)), 0, 2) == 1


def test_the_average_moves() -> None:
    assert moved(None, 2.0) == 2.0
    assert 1.0 < moved(1.0, 2.0) < 1.5


def test_affinity_goes_home_where_there_is_room_and_else_to_the_least_busy() -> None:
    free = some((0, 0, None), (1, 5, None), (2, 1, None))
    assert choose("affinity", free, -1, 4, home=1) == 1
    assert choose("affinity", free, -1, 4, home=3) == 0  # it is there, and full
    assert choose("affinity", free, -1, 4) == 0
    assert choose("least-busy", free, -1, 4, home=1) == 0


KEYS = [f"caller {number}" for number in range(400)]
NAMES = {index: f"http://replica-{index}/mcp" for index in range(4)}


def test_each_key_has_one_home_and_the_homes_are_spread() -> None:
    homes = [home_of(key, NAMES) for key in KEYS]
    assert homes == [home_of(key, dict(reversed(NAMES.items()))) for key in KEYS]
    assert all(60 <= homes.count(index) <= 140 for index in NAMES)
    assert home_of("anybody", {}) is None


def test_a_replica_that_goes_moves_only_its_own_keys() -> None:
    rest = {index: name for index, name in NAMES.items() if index != 2}
    for key in KEYS:
        before = home_of(key, NAMES)
        assert home_of(key, rest) == before or before == 2
