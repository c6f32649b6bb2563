"""`batch`: a tool called once for each row of a file, followed with one bar to one file."""

import sys
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, NoReturn
from uuid import uuid4

import typer

from common.clock import SystemClock
from common.jobs.idempotency import KEY_RULE, is_key
from longhaul.arguments import unnamed
from longhaul.batch.asking import Batch, Wanted, derived_key, submit
from longhaul.batch.fetching import fetched, older_rows, submitted
from longhaul.batch.results import (
    STDOUT,
    Order,
    Results,
    ResultsStream,
    fetching,
    open_results,
)
from longhaul.batch.rows import RowFormat, Rows, open_rows
from longhaul.client import Client, Json
from longhaul.commands.options import AsJson, Priority, ToolName
from longhaul.commands.speaking import connect
from longhaul.exits import Exit, UnreachableError, UsageError
from longhaul.screen.batches import batch_end, batch_moved, failed_rows, retry_words
from longhaul.screen.live import Live
from longhaul.screen.output import err, out, print_json, say, warn
from longhaul.screen.words import ago, moment, now

SAME_AGAIN = "The same command again continues"
REMARKS = 5  # at most, on the names in the rows; and rows that one names
LONG_AGO = 10.0  # seconds; a batch that is older was not begun by this command

Source = Annotated[
    str,
    typer.Argument(
        metavar="ROWS", help="A .jsonl or .csv file, each row one call's arguments; - is stdin."
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="One line of JSON per row; continued if it is there. Default: standard output.",
        show_default=False,
    ),
]
Format = Annotated[
    RowFormat | None,
    typer.Option("--format", help="What ROWS are; default: by its name.", show_default=False),
]
InFlight = Annotated[
    int | None,
    typer.Option(
        "--in-flight",
        min=1,
        metavar="N",
        help="At most so many rows under way at once; default: the router's, 256 unless set.",
        show_default=False,
    ),
]
InOrder = Annotated[
    Order, typer.Option("--order", help="Results as the rows stand in ROWS, or as they end.")
]
BatchKey = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY",
        help="A name of your own: the same one with the same tool, rows and options is the same "
        "batch. Default: made of those.",
        show_default=False,
    ),
]
Callback = Annotated[
    str | None,
    typer.Option(
        "--callback",
        metavar="URL",
        help="Told of the batch's end, with a signed POST.",
        show_default=False,
    ),
]
Detach = Annotated[
    bool, typer.Option("--detach", "-d", help="Print the batch's id and leave it to the router.")
]
New = Annotated[
    bool,
    typer.Option(
        "--new",
        help="A fresh batch, also of rows run before; its results replace older ones in --out.",
    ),
]


def register(app: typer.Typer) -> None:
    app.command()(batch)


def batch(
    tool: ToolName,
    source: Source,
    target: Out = None,
    form: Format = None,
    order: InOrder = Order.INPUT,
    in_flight: InFlight = None,
    priority: Priority = None,
    key: BatchKey = None,
    callback: Callback = None,
    new: New = False,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Call a tool once for each row of a file. Ctrl-C stops watching; the batch goes on.

    The same command again goes on where it was: the same tool, rows and options are the same batch,
    and the results file is continued after its last whole line.
    """
    file = None if target is None or str(target) == STDOUT else target
    _check(file, key, new=new, detach=detach, as_json=as_json)
    with open_rows(source, form, sys.stdin.buffer) as rows, connect() as router:
        if file is not None and rows.are_in(file):
            raise UsageError(f"--out {file} is the file of the rows: name another one")
        wanted = Wanted(
            tool=tool,
            rows=rows,
            in_flight=in_flight,
            priority=priority,
            key=key or _key(tool, rows, in_flight, priority, new=new),
            callback=callback,
        )
        if detach:
            begun = _begin(router, wanted, new=new)
            again = _again(begun, None, order, new=new)
            leave(begun, "left to the router", again, as_json=as_json)
        with _results(file, order, new=new) as results:
            begun = _begin(router, wanted, new=new)
            _continue(results, begun, new=new)
            again = _again(begun, file, order, new=new)
            ended = watch(router, begun, results, order, again, as_json=as_json)
            warn_of_older(router, ended, results, order)
    report(ended, as_json=as_json)


def _check(file: Path | None, key: str | None, *, new: bool, detach: bool, as_json: bool) -> None:
    """Raises: UsageError: Options that do not go together."""
    if detach and file is not None:
        raise UsageError(
            "--detach fetches no results, --out is for those: leave one of the two out; "
            f"longhaul batches results ID --follow --out {file} fetches them later"
        )
    if as_json and file is None and not detach:
        raise UsageError("--json prints the batch; its results need a file: --out RESULTS.jsonl")
    if key is not None and not is_key(key):
        raise UsageError(f"--key: should be {KEY_RULE}")
    if key is not None and new:
        raise UsageError("--key and --new exclude each other: a key is for the same batch again")


def report(ended: Batch, *, as_json: bool) -> NoReturn:
    """What came of it, to standard error, and its exit code."""
    if as_json:
        print_json(ended)
    err.print(batch_end(ended, now()))
    for words in retry_words(ended):
        say(words)
    if ended["state"] == "cancelled":
        raise typer.Exit(Exit.ENDED_BADLY)
    raise typer.Exit(Exit.TOOL_ERROR if failed_rows(ended) else Exit.DONE)


def _results(target: Path | None, order: Order, *, new: bool) -> AbstractContextManager[Results]:
    if target is None:
        return nullcontext(ResultsStream(order))
    return open_results(target, order, replace=new)


def _key(tool: str, rows: Rows, in_flight: int | None, priority: int | None, *, new: bool) -> str:
    return f"batch-{uuid4()}" if new else derived_key(tool, rows, in_flight, priority)


def _again(begun: Batch, target: Path | None, order: Order, *, new: bool) -> str:
    """How to go on with it: what was asked to be new would be new once more."""
    return f"{fetching(begun['id'], target, order)} continues" if new else SAME_AGAIN


def _begin(router: Client, wanted: Wanted, *, new: bool) -> Batch:
    """Accepted, now or by an earlier command."""
    clock = SystemClock()
    try:
        _remark(wanted, submitted(clock, partial(router.tool, wanted.tool))["input_schema"])
        begun = submitted(clock, partial(submit, router, wanted))
    except KeyboardInterrupt:
        how = "longhaul batches ls tells whether it began" if new else SAME_AGAIN.lower()
        say(f"stopped before the router had answered; {how}")
        raise typer.Exit(Exit.STILL_RUNNING) from None
    rows = "rows" if begun["rows"] is None else f"{begun['rows']:,} rows"
    say(f"batch {begun['id']}: {rows} for {begun['tool']}")
    return begun


def _remark(wanted: Wanted, schema: Json) -> None:
    """On names that the tool would take, but does not know; others are told with their rows."""
    if "additionalProperties" not in schema:
        for remark in unnamed(schema, wanted.rows.first_names())[:REMARKS]:
            warn(f"{wanted.rows.name}: {remark}")


def _continue(results: Results, begun: Batch, *, new: bool) -> None:
    """What is there of it already.

    Raises:
        UsageError: The file has the results of another batch.
    """
    results.begin(begun["id"])
    if results.lines:
        say(f"continuing after {results.lines:,} results; --new would begin anew")
    elif not new and begun["created"] and _age(begun) > LONG_AGO:
        say(f"begun before, {ago(begun['created_at'], now())}; --new would begin anew")


def _age(begun: Batch) -> float:
    return (now() - moment(begun["created_at"])).total_seconds()


def watch(
    router: Client,
    begun: Batch,
    results: Results,
    order: Order,
    again: str = SAME_AGAIN,
    *,
    as_json: bool,
) -> Batch:
    """The batch at its end, its results written; leaves when nobody watches any longer."""
    to_stdout = isinstance(results, ResultsStream)
    try:
        with Live(begun["tool"], batch_moved) as bar:
            return fetched(router, SystemClock(), begun["id"], results, order, bar.show, say)
    except KeyboardInterrupt:
        leave(begun, "stopped watching", again, as_json=as_json, silent=to_stdout)
    except UnreachableError as error:
        leave(begun, str(error), again, as_json=as_json, silent=to_stdout)


def warn_of_older(router: Client, batch: Batch, results: Results, order: Order) -> None:
    if rows := older_rows(router, batch, results, order):
        some = ", ".join(map(str, rows[:REMARKS])) + (", …" if len(rows) > REMARKS else "")
        warn(
            f"the file holds results from before a retry (rows: {some}); the newest of each row, "
            f"in a new file: longhaul batches results {batch['id']} --out NEW.jsonl"
        )


def leave(begun: Batch, why: str, again: str, *, as_json: bool, silent: bool = False) -> NoReturn:
    """The id goes to standard output, so that a script has it; `silent`: results go there."""
    if as_json:
        print_json(begun)
    elif not silent:
        out.print(begun["id"])
    say(
        f"{why}; batch {begun['id']} goes on. {again}; "
        f"longhaul batches show {begun['id']} looks, longhaul batches cancel {begun['id']} ends it"
    )
    raise typer.Exit(Exit.STILL_RUNNING)
