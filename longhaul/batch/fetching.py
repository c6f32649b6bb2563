"""Following a batch to its end: its results as they come, over a connection that may break."""

from collections.abc import Callable

from common.clock import SystemClock
from longhaul.batch.asking import PAGE, Batch, look, result_lines
from longhaul.batch.results import Order, Results
from longhaul.client import Client, ConnectionLostError
from longhaul.exits import UnreachableError
from longhaul.following import PATIENCE

PAUSE = 0.5  # seconds between two looks while results come
LONGEST_PAUSE = 2.0  # seconds, when none have come for a while


def submitted(clock: SystemClock, ask: Callable[[], Batch]) -> Batch:
    """The answer to a submission that may be repeated, of a router that may be restarting.

    Raises:
        UnreachableError: Nothing ever answered, or it went away and did not come back.
    """
    patience = _Patience(clock)
    while True:
        try:
            return ask()
        except UnreachableError as error:
            patience.lost(error)


def fetched(
    router: Client,
    clock: SystemClock,
    batch: str,
    results: Results,
    order: Order,
    seen: Callable[[Batch], None],
    *,
    follow: bool = True,
) -> Batch:
    """The batch, at its end if it is followed, when all its results so far are written.

    Raises:
        UnreachableError: The router does not answer, or went away and did not come back.
        NotThereError: There is no such batch.
    """
    patience = _Patience(clock)
    pause = PAUSE
    while True:
        try:
            batch_now = look(router, batch)
            patience.heard()
            seen(batch_now)
            came = _page(router, batch, results, order)
        except UnreachableError as error:
            patience.lost(error)
            continue
        over = batch_now["state"] != "running"
        if (over and came == 0) or (not follow and not over and came < PAGE):
            return batch_now
        pause = PAUSE if came else min(LONGEST_PAUSE, pause * 1.5)
        if came < PAGE and not over:
            clock.pause(pause)


def _page(router: Client, batch: str, results: Results, order: Order) -> int:
    came = 0
    try:
        for line in result_lines(router, batch, results.after, order):
            results.add(line)
            came += 1
    finally:
        results.flush()
    return came


class _Patience:
    """With a router that went away, as it does for a restart."""

    def __init__(self, clock: SystemClock) -> None:
        self._clock = clock
        self._answered = False
        self._lost_at: float | None = None

    def heard(self) -> None:
        self._answered = True
        self._lost_at = None

    def lost(self, error: UnreachableError) -> None:
        """A pause before the next try; raises it when there was enough of them."""
        now = self._clock.monotonic()
        if self._lost_at is None:
            self._lost_at = now
        reached = self._answered or isinstance(error, ConnectionLostError)
        if not reached or now - self._lost_at >= PATIENCE:
            raise error
        self._answered = True
        self._clock.pause(PAUSE)
