"""When a submission is to run, as people say it; and what is refused, with what words."""

import math
from datetime import UTC, datetime

import pytest

from common.jobs.change import Now
from ingress.operations.schedule import LATEST, read_schedule

NOW = 1_700_000_000.0


def said(run_at: object = None, delay: object = None) -> dict[str, object]:
    return {"run_at": run_at, "delay": delay}


def stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def test_nothing_said_is_at_once() -> None:
    assert read_schedule(said(), NOW) is None


@pytest.mark.parametrize(
    ("delay", "ms"), [(2, 2_000), (0.25, 250), ("10m", 600_000), ("1.5s", 1_500), ("7", 7_000)]
)
def test_a_delay_is_from_the_stores_now(delay: object, ms: int) -> None:
    assert read_schedule(said(delay=delay), NOW) == Now(ms)


@pytest.mark.parametrize("text", ["2023-11-15T00:13:20+02:00", "2023-11-14t22:13:20.000z"])
def test_a_time_is_the_same_moment_however_it_is_written(text: str) -> None:
    assert read_schedule(said(run_at=text), NOW - 1) == 1_700_000_000_000


def test_the_past_runs_at_once() -> None:
    assert read_schedule(said(run_at=stamp(NOW - 86_400)), NOW) is None
    assert read_schedule(said(delay=0), NOW) is None


@pytest.mark.parametrize(
    "run_at",
    [
        *("tomorrow", "", "2026-12-31", "2026-12-31T23:00:00", "2026-02-30T00:00:00Z"),
        *("2026-12-31T25:00:00Z", "20261231T230000Z", 1_800_000_000, True, ["2026"]),
    ],
)
def test_a_time_without_sense_or_zone_is_refused(run_at: object) -> None:
    with pytest.raises(ValueError, match="run_at should be a time as RFC 3339 has it"):
        read_schedule(said(run_at=run_at), NOW)


@pytest.mark.parametrize("delay", [-1, "-5s", "soon", "", True, math.nan, math.inf, [1], "1e9s"])
def test_a_delay_without_sense_is_refused(delay: object) -> None:
    with pytest.raises(ValueError, match="delay should be seconds, or a duration"):
        read_schedule(said(delay=delay), NOW)


def test_what_is_too_far_off_is_refused() -> None:
    assert read_schedule(said(delay=LATEST), NOW) == Now(LATEST * 1000)
    for late in (said(delay=LATEST + 1), said(run_at=stamp(NOW + LATEST + 1))):
        with pytest.raises(ValueError, match="at most 366 days from now"):
            read_schedule(late, NOW)


def test_two_times_are_one_too_many() -> None:
    with pytest.raises(ValueError, match="say run_at or delay, not both"):
        read_schedule(said(stamp(NOW + 5), 5), NOW)
