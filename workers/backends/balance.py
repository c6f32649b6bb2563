"""Which replica takes the next call."""

from collections.abc import Sequence
from dataclasses import dataclass

from common.config.model import Balance


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A healthy replica with room."""

    index: int  # its place in the configuration
    in_flight: int
    latency: float | None  # seconds, moving average; None: not measured yet


def choose(policy: Balance, candidates: Sequence[Candidate], last: int, count: int) -> int:
    """The index of the replica to use; `last` took the call before, of `count` replicas in all.

    Equals are taken in turn. Affinity needs a key that calls do not carry yet: least-busy.
    """

    def turn(candidate: Candidate) -> int:
        return (candidate.index - last - 1) % count

    match policy:
        case "round-robin":
            return min(candidates, key=turn).index
        case "priority":
            return min(candidate.index for candidate in candidates)
        case "latency":
            # A replica nobody has measured goes first, or it never would be.
            return min(candidates, key=lambda c: (c.latency or 0.0, c.in_flight, turn(c))).index
        case "least-busy" | "affinity":
            return min(candidates, key=lambda c: (c.in_flight, turn(c))).index


def moved(average: float | None, seconds: float) -> float:
    """The moving average after one more call."""
    return seconds if average is None else average + 0.2 * (seconds - average)
