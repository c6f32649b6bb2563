"""What a run showed, and whether the promises were kept."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.faults import Fault
from tests.chaos.load import ENDED, Load, Submitted


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    calls: int
    accepted: int
    lost: Sequence[int]  # accepted, and nobody knows the job any more
    unfinished: Sequence[int]  # not ended in time
    twice: Sequence[int]  # must not run twice, and was started twice
    unearned: Sequence[int]  # completed, and never started
    two_ids: Sequence[int]  # one call, one idempotency key, two jobs
    states: Mapping[str, int]
    starts: int
    run_again: int  # starts of repeatable calls beyond the first
    asked_again: int  # submissions that had to be repeated
    faults: Mapping[str, int]
    settled_after: float  # seconds from the last fault until all had ended

    @property
    def kept(self) -> bool:
        """Nothing lost, nothing run twice that must not, everything ended."""
        broken = (self.lost, self.unfinished, self.twice, self.unearned, self.two_ids)
        return self.accepted == self.calls and not any(broken)


def judged(
    load: Load,
    told: Submitted,
    states: Mapping[int, str],
    faults: Sequence[Fault],
    settled_after: float,
) -> Verdict:
    lines = load.starts.read_text().split() if load.starts.exists() else []
    starts = Counter(int(line) for line in lines)
    once = {n for n in range(load.calls) if load.tool(n) == "counting__once"}
    return Verdict(
        calls=load.calls,
        accepted=len(told.jobs),
        lost=[n for n, state in states.items() if state == ""],
        unfinished=[n for n, state in states.items() if state and state not in ENDED],
        twice=[n for n in once if starts[n] > 1],
        unearned=[n for n, state in states.items() if state == "completed" and not starts[n]],
        two_ids=told.two_ids,
        states=Counter(states.values()),
        starts=sum(starts.values()),
        run_again=sum(count - 1 for n, count in starts.items() if n not in once),
        asked_again=told.asked_again,
        faults=Counter(f"{each.target.split('-')[0]}: {each.deed}" for each in faults),
        settled_after=settled_after,
    )


def table(verdict: Verdict) -> str:
    """One table, as `make chaos` prints it and docs/reliability.md shows it."""
    rows = {
        "calls": verdict.calls,
        "accepted": verdict.accepted,
        "accepted jobs lost": len(verdict.lost),
        "jobs not ended in time": len(verdict.unfinished),
        "not-repeatable tools started twice": len(verdict.twice),
        "completed without a start": len(verdict.unearned),
        "one idempotency key, two jobs": len(verdict.two_ids),
        "starts of tools": verdict.starts,
        "of these, repeatable tools run again": verdict.run_again,
        "submissions asked again": verdict.asked_again,
        **{f"ended as {state}": count for state, count in sorted(verdict.states.items())},
        **{f"fault, {name}": count for name, count in sorted(verdict.faults.items())},
        "all ended, after the last fault": f"{verdict.settled_after:.0f} s",
    }
    return "\n".join(f"| {name} | {value} |" for name, value in rows.items())
