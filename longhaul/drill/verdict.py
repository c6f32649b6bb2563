"""What a scenario showed. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from longhaul.exits import BY_STATE


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """One probe at the end of its scenario."""

    label: str
    repeatable: bool
    job: str  # its id; empty: it was never accepted
    state: str  # as last seen; empty: no such job


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    scenario: str
    jobs: int  # accepted
    refused: int  # not accepted in time: their caller knows that nothing runs
    completed: int
    unknown: int  # ended as `lost`, outcome unknown, as is promised of what may not run twice
    failed: int  # ended in another way
    lost: tuple[str, ...]  # ids: accepted, and gone or without an end
    twice: tuple[str, ...]  # ids: may not run again, and was started again
    uncounted: tuple[str, ...]  # ids: completed, and its start was not found
    first: float | None = None  # seconds from the fault until a probe completed
    all: float | None = None  # until every one had ended

    @property
    def passed(self) -> bool:
        return not (self.lost or self.twice)


def judge(
    scenario: str,
    probes: Iterable[Probed],
    starts: Mapping[str, int],
    *,
    first: float | None,
    all_ended: float | None,
) -> Verdict:
    """`starts`: of each label. A job that may run again may have any number of them."""
    everything = list(probes)
    accepted = [probe for probe in everything if probe.job]
    ended = Counter(probe.state for probe in accepted)
    return Verdict(
        scenario=scenario,
        jobs=len(accepted),
        refused=len(everything) - len(accepted),
        completed=ended["completed"],
        unknown=sum(probe.state == "lost" and not probe.repeatable for probe in accepted),
        failed=ended["failed"] + ended["dead"] + ended["cancelled"],
        lost=tuple(probe.job for probe in accepted if _is_lost(probe)),
        twice=tuple(
            probe.job
            for probe in accepted
            if not probe.repeatable and starts.get(probe.label, 0) > 1
        ),
        uncounted=tuple(
            probe.job
            for probe in accepted
            if probe.state == "completed" and not starts.get(probe.label)
        ),
        first=first,
        all=all_ended,
    )


def _is_lost(probe: Probed) -> bool:
    """`lost` is an end where a job may not run twice; where it may, the router gave up on it."""
    return probe.state not in BY_STATE or (probe.state == "lost" and probe.repeatable)
