"""A batch on the terminal while it lasts: one line that moves, on standard error."""

from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from longhaul.screen.batches import count_words, ended_rows, pace_words
from longhaul.screen.output import err


class BatchBar:
    """Quiet where standard error is no terminal."""

    def __init__(self, tool: str) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.fields[tool]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[amount]}", justify="right"),
            TextColumn("{task.fields[pace]}"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[counts]}"),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, tool=tool, amount="", pace="", counts="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, batch: dict[str, Any]) -> None:
        rows, ended = batch["rows"], ended_rows(batch)
        self._bar.update(
            self._task,
            total=rows,
            completed=ended,
            amount=f"{ended:,} of {rows:,}" if rows is not None else f"{ended:,} rows",
            pace=pace_words(batch),
            counts=count_words(batch),
        )
