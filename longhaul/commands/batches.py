"""`batches`: look at them, fetch their results, cancel them, run again what failed."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated

import typer

from common.clock import SystemClock
from common.jobs.rows import FAILED_SHARES, REFUSED
from longhaul.batch.asking import PATH, Batch, cancel, look, retry
from longhaul.batch.fetching import fetched
from longhaul.batch.results import STDOUT, Order, Results, ResultsStream, open_results
from longhaul.client import Client
from longhaul.commands.batch import InOrder, Out, report, warn_of_older, watch
from longhaul.commands.options import AsJson
from longhaul.commands.speaking import connect
from longhaul.exits import UsageError
from longhaul.screen.batches import batch_card, batch_list
from longhaul.screen.output import print_json, say, show
from longhaul.screen.words import now

_PAGE = 200

BatchId = Annotated[str, typer.Argument(metavar="ID", help="The batch's id.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, the newest first.")]
Lost = Annotated[
    bool,
    typer.Option("--lost", help="Lost rows too: their tool may have run, and would run again."),
]
Follow = Annotated[
    bool, typer.Option("--follow", "-f", help="Go on until the batch has ended, with a bar.")
]


def register(app: typer.Typer) -> None:
    about = "Look at batches, fetch their results, cancel them, run again what failed."
    group = typer.Typer(help=about, no_args_is_help=True)
    group.command("ls")(ls)
    group.command("show")(show_one)
    group.command("results")(results)
    group.command("retry")(retry_failed)
    group.command("cancel")(cancel_one)
    app.add_typer(group, name="batches")


def ls(limit: Limit = 30, as_json: AsJson = False) -> None:
    """List batches, the newest first."""
    with connect() as router:
        found, more = _list(router, limit)
    if as_json:
        print_json({"batches": found})
        return
    if not found:
        say("No batches yet; `longhaul batch TOOL ROWS.jsonl` makes one.")
        return
    show(batch_list(found, now()))
    if more:
        say(f"There are more; --limit {limit * 10} shows them.")


def _list(router: Client, limit: int) -> tuple[list[Batch], bool]:
    found: list[Batch] = []
    cursor: str | None = None
    while True:
        page = router.get(PATH, limit=min(_PAGE, limit - len(found)), cursor=cursor)
        found += page["batches"]
        cursor = page["cursor"]
        if cursor is None or len(found) >= limit:
            return found, cursor is not None


def show_one(batch: BatchId, as_json: AsJson = False) -> None:
    """How far a batch is: rows by state, rate, estimated end, errors."""
    with connect() as router:
        shown = look(router, batch)
    if as_json:
        print_json(shown)
    else:
        show(batch_card(shown, now()))


def results(
    batch: BatchId,
    target: Out = None,
    order: InOrder = Order.INPUT,
    follow: Follow = False,
    as_json: AsJson = False,
) -> None:
    """Fetch the results that there are, the newest of each row; a file of them is continued."""
    to_file = target is not None and str(target) != STDOUT
    if as_json and not to_file:
        raise UsageError("results are lines of JSON as they are; --json prints the batch beside")
    with connect() as router:
        begun = look(router, batch)
        opened: AbstractContextManager[Results] = (
            open_results(target, order, replace=False)
            if target is not None and to_file
            else nullcontext(ResultsStream(order))
        )
        with opened as lines:
            lines.begin(batch)
            if follow:
                ended = watch(router, begun, lines, order, as_json=as_json)
                warn_of_older(router, ended, lines, order)
                report(ended, as_json=as_json)
            ended = fetched(
                router, SystemClock(), batch, lines, order, lambda _: None, say, follow=False
            )
            warn_of_older(router, ended, lines, order)
    if as_json:
        print_json(ended)


def retry_failed(batch: BatchId, lost: Lost = False, as_json: AsJson = False) -> None:
    """Run again what failed of a batch, and only that."""
    with connect() as router:
        before = look(router, batch)
        after = retry(router, batch, lost=lost)
    if as_json:
        print_json(after)
        return
    counts = before["counts"]
    if not any(counts.get(share) for share in (*FAILED_SHARES, *(["lost"] if lost else []))):
        say(f"nothing of batch {batch} to run again{_but(counts)}")
        return
    say(
        f"batch {batch} runs again what failed; its results when it has ended, the newest of each "
        f"row: longhaul batches results {batch} --follow --out NEW.jsonl"
    )


def _but(counts: Mapping[str, int]) -> str:
    """What did go wrong, and what to do about it."""
    words = []
    if counts.get(REFUSED):
        rows = "row" if counts[REFUSED] == 1 else "rows"
        words.append(f"{counts[REFUSED]:,} broken {rows}: mend the file, and run it anew")
    if counts.get("lost"):
        words.append(f"{counts['lost']:,} lost, whose tool may have run: --lost runs them again")
    return f"; {'; '.join(words)}" if words else ""


def cancel_one(batch: BatchId, as_json: AsJson = False) -> None:
    """Cancel a batch: what has not ended is cancelled, and nothing more begins."""
    with connect() as router:
        before = look(router, batch)
        after = cancel(router, batch)
    if as_json:
        print_json(after)
    elif before["state"] != "running":
        say(f"batch {batch} had ended already: {after['state']}")
    else:
        say(f"cancelled batch {batch}")
