"""How long a replica is left alone after it failed."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from workers.backends.backoff import FIRST, LONGEST, delay_after


@given(failures=st.integers(1, 10_000), seed=st.integers())
def test_never_less_than_half_the_first_never_more_than_the_longest(
    failures: int, seed: int
) -> None:
    delay = delay_after(failures, random.Random(seed))
    assert FIRST / 2 <= delay <= LONGEST


def test_it_doubles_until_it_is_long_enough() -> None:
    delays = [delay_after(failures, random.Random(1)) for failures in range(1, 12)]
    steps = [later / earlier for earlier, later in pairwise(delays)]
    assert all(1.99 < step < 2.01 for step in steps[:7])
    assert delays[-1] > LONGEST / 2


def test_those_that_fell_together_do_not_rise_together() -> None:
    assert len({delay_after(5, random.Random(seed)) for seed in range(20)}) == 20
