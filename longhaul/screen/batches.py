"""Batches on the screen. Pure: JSON of the REST interface in, renderables out."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from longhaul.screen.callbacks import callback_words
from longhaul.screen.live import Moved
from longhaul.screen.output import facts_table, indented
from longhaul.screen.sheet import Cell, Sheet, sheet
from longhaul.screen.words import STATE_STYLE, ago, first_line, lasted, local_time, span

Json = Mapping[str, Any]

# In the order of how much they matter to a reader.
_ENDED = ("completed", "tool_error", "failed", "refused", "cancelled", "lost", "dead")
_WORDS = {"tool_error": "tool error", "refused": "broken row"}
_STYLE = {"running": "bold blue", "tool_error": "red", "refused": "red", **STATE_STYLE}
_AGAIN = ("tool_error", "failed", "dead")  # what a retry runs
FAULTS = (*_AGAIN, "refused", "lost")


def ended_rows(batch: Json) -> int:
    return sum(batch["counts"].get(state, 0) for state in _ENDED)


def failed_rows(batch: Json) -> int:
    """Rows that ended without what was wanted of them, cancelled ones apart."""
    return sum(batch["counts"].get(state, 0) for state in FAULTS)


def count_words(batch: Json) -> str:
    """`96,120 completed · 12 tool errors · 3 broken rows`; what there is none of is left out."""
    counts = batch["counts"]
    said = [
        f"{counts[state]:,} {_word(state, counts[state])}" for state in _ENDED if counts.get(state)
    ]
    return " · ".join(said)


def pace_words(batch: Json) -> str:
    """`410 rows/s, about 3 min left`."""
    if batch["state"] != "running":
        return str(batch["state"])
    rate, left = batch["rate"], batch["ends_in"]
    words = [f"{rate:,.0f} rows/s" if rate >= 10 else f"{rate:.1f} rows/s"] if rate else []
    return ", ".join([*words, *([f"about {span(left)} left"] if left is not None else [])])


def batch_moved(batch: Json) -> Moved:
    rows, ended = batch["rows"], ended_rows(batch)
    words = (pace_words(batch), batch.get("waiting_because"), count_words(batch))
    return Moved(
        value=ended,
        total=rows,
        amount=f"{ended:,} rows" if rows is None else f"{ended:,} of {rows:,}",
        remark=" · ".join(each for each in words if each),
    )


def retry_words(batch: Json) -> Iterator[str]:
    """What of it could run again, and how. A row that was refused would be refused again."""
    if batch["state"] == "cancelled":
        return
    command = f"longhaul batches retry {batch['id']}"
    if any(batch["counts"].get(state) for state in _AGAIN):
        yield f"the failed rows alone, once more: {command}"
    if batch["counts"].get("lost"):
        yield f"the lost ones, too, whose tool may have run: {command} --lost"


def batch_list(batches: Sequence[Json], now: datetime) -> Sheet:
    shown = sheet(
        "ID:whole", "TOOL", "STATE:whole", "ROWS:number", "ENDED:number", "CREATED:whole", ""
    )
    for batch in batches:
        shown.add_row(
            batch["id"],
            batch["tool"],
            _state(batch["state"]),
            _number(batch["rows"]),
            _number(ended_rows(batch)),
            ago(batch["created_at"], now),
            Text(_remark(batch), style="dim"),
        )
    return shown


def batch_card(batch: Json, now: datetime) -> RenderableType:
    title = Text.assemble((batch["id"], "bold"), "  ", _state(batch["state"]), "  ", batch["tool"])
    return Group(title, facts_table(_facts(batch, now)), *_faults(batch))


def batch_end(batch: Json, now: datetime) -> RenderableType:
    """What a person is told when it has ended: how many of each, and what went wrong."""
    took = lasted(batch["created_at"], batch["finished_at"], now)
    title = Text.assemble(
        (batch["id"], "bold"), "  ", _state(batch["state"]), f"  {count_words(batch)}  in {took}"
    )
    return Group(title, *_faults(batch))


def _facts(batch: Json, now: datetime) -> Iterator[tuple[str, Cell]]:
    rows, ended = batch["rows"], ended_rows(batch)
    share = f"  ({100 * ended / rows:.0f} %)" if rows else ""
    yield "rows", f"{ended:,} of {_number(rows)} ended{share}"
    for state in ("waiting", *_ENDED):
        if batch["counts"].get(state):
            style = _STYLE.get(state, "")
            yield _word(state, 2), Text(f"{batch['counts'][state]:,}", style=style)
    if batch["state"] == "running" and pace_words(batch):
        yield "pace", pace_words(batch)
    if batch.get("waiting_because"):
        yield "waits", Text(batch["waiting_because"], style="yellow")
    yield "created", f"{local_time(batch['created_at'])}  ({ago(batch['created_at'], now)})"
    if batch["finished_at"]:
        yield "finished", local_time(batch["finished_at"])
        yield "took", lasted(batch["created_at"], batch["finished_at"], now)
    if batch.get("callback"):
        yield "callback", Text(callback_words(batch["callback"]))


def _faults(batch: Json) -> list[RenderableType]:
    if not batch["errors"]:
        return []
    shown = sheet("COUNT:number", "ERROR:wrap", "ROWS:whole")
    for error in batch["errors"]:
        shown.add_row(
            f"{error['count']:,}", Text(first_line(error["error"], 300), style="red"), _rows(error)
        )
    return [Text(""), indented(shown)]


def _rows(error: Json) -> str:
    named = ", ".join(str(row) for row in error["rows"])
    return f"{named}, …" if error["count"] > len(error["rows"]) else named


def _remark(batch: Json) -> str:
    bad = failed_rows(batch)
    words = [pace_words(batch)] if batch["state"] == "running" else []
    return ", ".join([*words, *([f"{bad:,} failed"] if bad else [])])


def _word(state: str, count: int) -> str:
    noun = _WORDS.get(state)
    if noun is None:
        return state
    return noun if count == 1 else f"{noun}s"


def _state(state: str) -> Text:
    return Text(state, style=_STYLE.get(state, ""))


def _number(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"
