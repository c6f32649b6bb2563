"""The budget of retries: what it allows, what it holds back, and for how long."""

from dataclasses import dataclass

import pytest

from common.config.model import Backend, RetryBudget
from workers.retry_budget import LONGEST_WAIT_S, Budget, Budgets, Draw


@dataclass
class Hand:
    """A clock that a test moves."""

    at: float = 0.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


def budget(hand: Hand, *, share: float = 0.2, floor: int = 60) -> Budget:
    return Budget(RetryBudget(share=share, floor=floor), hand)


def test_a_minutes_worth_is_free_and_then_they_come_at_the_pace_of_the_floor() -> None:
    taken = budget(hand := Hand(), floor=3)
    assert [taken.take() for _ in range(6)] == pytest.approx([0, 0, 0, 20, 40, 60])
    hand.at = 60.0
    assert taken.take() == pytest.approx(20.0)


def test_calls_earn_their_share() -> None:
    earning = budget(Hand(), floor=1, share=0.5)
    assert earning.take() == 0
    for _ in range(4):
        earning.called()
    assert (earning.take(), earning.take() > 0) == (0, True)


def test_a_quiet_day_saves_no_more_than_a_minutes_worth() -> None:
    saved = budget(hand := Hand(), floor=2)
    hand.at = 86_400.0
    for _ in range(1_000):
        saved.called()
    assert [saved.take() > 0 for _ in range(3)] == [False, False, True]


def test_the_wait_has_an_end_and_what_was_not_used_comes_back() -> None:
    small = budget(Hand(), floor=1)
    for _ in range(500):
        small.take()
    assert small.take() == LONGEST_WAIT_S
    other = budget(Hand(), floor=1)
    draw = Draw(other)
    assert (draw.take(), draw.take()) == (False, False)
    draw.close(used=False)
    assert other.take() == 0
    used = Draw(other)
    assert used.take()
    used.close(used=True)
    assert other.take() == pytest.approx(used.over * 2)


def test_each_backend_has_its_own() -> None:
    hand = Hand()
    one = Backend(name="one", command="x", retry_budget=RetryBudget(floor=1))
    budgets = Budgets([one], hand)
    budgets.of("one").take()
    assert budgets.of("one").take() > 0
    assert budgets.of("two").take() == 0
    assert budgets.of("two") is budgets.of("two")
