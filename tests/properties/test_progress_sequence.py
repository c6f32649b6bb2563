"""Progress to one request strictly increases, whatever its job went through."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ingress.mcp.progress import sequence

# One life of a job, as its caller hears of it: heartbeats (None) while it waits, then the values of
# a first try, a crash, heartbeats again, and a second try that begins from the start.
values = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-(2**70), 2**70).map(float)
heartbeats = st.lists(st.none(), max_size=20)
one_try = st.lists(values, max_size=30).map(sorted)
histories = st.tuples(heartbeats, one_try, heartbeats, one_try).map(
    lambda parts: [value for part in parts for value in part]
)


def sent(history: list[float | None]) -> list[float]:
    out: list[float] = []
    for value in history:
        out.append(sequence(out[-1] if out else None, value))
    return out


@given(histories)
def test_it_strictly_increases(history: list[float | None]) -> None:
    values = sent(history)
    assert all(math.isfinite(value) for value in values)
    assert all(later > earlier for earlier, later in pairwise(values))


@given(st.lists(st.floats(-1e15, 1e15), min_size=1, unique=True).map(sorted))
def test_growing_values_go_out_as_they_came(values: list[float]) -> None:
    assert sent(list(values)) == values


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_a_lower_value_goes_out_as_the_smallest_step_up(last: float, fall: float) -> None:
    assert sequence(last, last - fall) == last + 1e-6


@given(st.floats(1e12, 1e299))
def test_a_step_is_never_lost_to_the_size_of_the_number(last: float) -> None:
    assert sequence(last, None) > last


@given(st.integers(min_value=2**53, max_value=2**1100))
def test_a_whole_number_too_large_for_a_float_does_no_harm(value: int) -> None:
    assert sequence(1.0, value) > 1.0
