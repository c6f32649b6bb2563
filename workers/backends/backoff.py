"""How long to wait before a replica is started or connected again."""

import random

FIRST = 0.2  # seconds
LONGEST = 30.0  # seconds
STEADY = 10.0  # seconds up after which earlier failures are forgotten


def delay_after(failures: int, rng: random.Random) -> float:
    """Seconds before the next attempt, after so many failures in a row (at least 1).

    Doubling, with the upper half random: replicas that fell together do not rise together.
    """
    full = min(LONGEST, FIRST * 2.0 ** min(failures - 1, 32))
    return full * (0.5 + rng.random() / 2)
