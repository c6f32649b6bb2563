"""Following a batch to its end: its results as they come, over a connection that may break."""

from collections.abc import Callable

from common.clock import SystemClock
from longhaul.batch.asking import PAGE, Batch, look, result_lines
from longhaul.batch.results import Order, Results
from longhaul.client import Client, ConnectionLostError
from longhaul.exits import UnreachableError
from longhaul.patience import PATIENCE, Patience

PAUSE = 0.5  # seconds between two looks while results come
LONGEST_PAUSE = 2.0  # seconds, when none have come for a while


def submitted(clock: SystemClock, ask: Callable[[], Batch]) -> Batch:
    """The answer to a submission that may be repeated, of a router that may be restarting.

    Raises:
        UnreachableError: Nothing ever answered, or it went away and did not come back.
    """
    patience = Patience(clock)
    while True:
        try:
            return ask()
        except UnreachableError as error:
            _bear(patience, error)
            clock.pause(PAUSE)


def fetched(
    router: Client,
    clock: SystemClock,
    batch: str,
    results: Results,
    order: Order,
    seen: Callable[[Batch], None],
    said: Callable[[str], None],
    *,
    follow: bool = True,
) -> Batch:
    """The batch, at its end if it is followed, when all its results so far are written.

    `seen` hears how it stands, `said` what a person should know meanwhile.

    Raises:
        UnreachableError: The router does not answer, or went away and did not come back.
        NotThereError: There is no such batch.
    """
    patience = Patience(clock)
    pause = PAUSE
    while True:
        try:
            batch_now = look(router, batch)
            patience.heard()
            seen(batch_now)
            came = _page(router, batch, results, order)
        except UnreachableError as error:
            _bear(patience, error)
            if patience.tells():
                said(
                    f"{router.url} went away; waiting {PATIENCE:g} s for it to come back. "
                    f"Batch {batch} goes on, whatever happens here"
                )
            clock.pause(PAUSE)
            continue
        # The rows of a cancelled one end after it: results in order may wait for them.
        over = batch_now["state"] != "running" and not batch_now["counts"]["waiting"]
        if (over and came == 0) or (not follow and not over and came < PAGE):
            return batch_now
        pause = PAUSE if came else min(LONGEST_PAUSE, pause * 1.5)
        if came < PAGE and not over:
            clock.pause(pause)


def older_rows(router: Client, batch: Batch, results: Results, order: Order) -> list[int]:
    """Rows that ended again after a retry, of which the results have what came before it.

    First ends have the places up to the number of rows, so those behind them are of rows that ran
    again. In the order of ends the newer results stand behind the older ones.
    """
    if order is Order.ENDED or not batch["rows"]:
        return []
    try:
        return results.older(result_lines(router, batch["id"], batch["rows"], Order.ENDED))
    except UnreachableError:  # what was asked for is there
        return []


def _page(router: Client, batch: str, results: Results, order: Order) -> int:
    came = 0
    try:
        for line in result_lines(router, batch, results.after, order):
            results.add(line)
            came += 1
    finally:
        results.flush()
    return came


def _bear(patience: Patience, error: UnreachableError) -> None:
    """Raises it, when there was enough of them."""
    if not patience.may_come_back(reached=isinstance(error, ConnectionLostError)):
        raise error
