"""A time, or how long ago: whoever asks may say either."""

import pytest

from common.config.moment import ms_of, parse_moment

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
MS = round(NOW * 1000)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2027-01-15T08:00:00Z", MS),
        ("2027-01-15T07:59:59.250z", MS - 750),
        ("2027-01-15T10:00:00+02:00", MS),
        ("2h", MS - 7_200_000),
        ("7d", MS - 7 * 86_400_000),
        ("500ms", MS - 500),
        (" 1.5m ", MS - 90_000),
        ("900000d", MS - 900_000 * 86_400_000),  # before there were years
    ],
)
def test_either_is_a_moment(text: str, ms: int) -> None:
    assert ms_of(parse_moment(text), NOW) == ms


NEITHER = ["", "yesterday", "2027-01-15T08:00:00", "2027-01-15", "2027-02-30T08:00:00Z", "-2h"]
UNCLEAR = ["30", "1.5", "1800000000", "9" * 400 + "d", "2 weeks", 30, 1.5, None, True]


@pytest.mark.parametrize("value", [*NEITHER, *UNCLEAR])
def test_what_is_neither_is_refused_with_both_ways(value: object) -> None:
    with pytest.raises(ValueError, match=r"with its zone \(2026-12-31T23:00:00Z\), or how long"):
        parse_moment(value)
