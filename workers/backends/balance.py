"""Which replica takes the next call."""

from collections.abc import Mapping, Sequence
from hashlib import sha256

from common.config.model import Balance
from common.values import value_type


@value_type(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A healthy replica with room."""

    index: int  # its place in the configuration
    in_flight: int
    latency: float | None  # seconds, moving average; None: not measured yet


def choose(
    policy: Balance,
    candidates: Sequence[Candidate],
    last: int,
    count: int,
    home: int | None = None,
) -> int:
    """The index of the replica to use; `last` took the call before, of `count` replicas in all.

    Equals are taken in turn. `home` is where affinity wants the call, room or no room.
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
        case "affinity" if home is not None and any(c.index == home for c in candidates):
            return home
        case "least-busy" | "affinity":
            return min(candidates, key=lambda c: (c.in_flight, turn(c))).index


def home_of(key: str, names: Mapping[int, str]) -> int | None:
    """The replica that calls with this key share, of those that are there: index to lasting name.

    By rendezvous hashing: one that comes or goes moves only the keys that it wins or held.
    """

    def score(index: int) -> bytes:
        return sha256(f"{names[index]}\n{key}".encode()).digest()

    return max(names, key=score, default=None)


def moved(average: float | None, seconds: float) -> float:
    """The moving average after one more call."""
    return seconds if average is None else average + 0.2 * (seconds - average)
