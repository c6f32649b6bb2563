"""Waiting longer after each failure."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from common.backoff import Backoff


@given(failures=st.integers(1, 200))
def test_never_less_than_half_the_first_never_more_than_the_limit(failures: int) -> None:
    backoff = Backoff(first=0.2, limit=30.0)
    delays = [backoff.next() for _ in range(failures)]
    assert 0.1 <= delays[0] <= 0.2
    assert all(0.1 <= delay <= 30.0 for delay in delays)


def test_it_grows_to_the_limit_and_begins_again() -> None:
    backoff = Backoff(first=0.2, limit=30.0)
    delays = [backoff.next() for _ in range(12)]
    # Each lies between half of its step and all of it, and steps double.
    assert all(earlier <= later for earlier, later in pairwise(delays[:8]))
    assert delays[-1] >= 15.0
    backoff.reset()
    assert backoff.next() <= 0.2


def test_those_that_fell_together_do_not_rise_together() -> None:
    together = [Backoff(first=1.0, limit=30.0) for _ in range(20)]
    assert len({backoff.next() for backoff in together}) == 20
