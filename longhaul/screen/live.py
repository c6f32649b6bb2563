"""A job or a batch on the terminal while it lasts: one line that moves, on standard error."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from longhaul.screen.output import err
from longhaul.screen.words import first_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How far it is. Without a total nobody knows."""

    value: float
    total: float | None
    amount: str
    remark: str


class Live:
    """Quiet where standard error is no terminal. `read` makes of JSON what is shown."""

    def __init__(self, tool: str, read: Callable[[Mapping[str, Any]], Moved]) -> None:
        self._read = read
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.fields[tool]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[amount]}", justify="right"),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[remark]}"),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, tool=tool, amount="", remark="")

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

    def show(self, shown: Mapping[str, Any]) -> None:
        moved = self._read(shown)
        self._bar.update(
            self._task,
            total=moved.total,
            completed=moved.value if moved.total else 0,
            amount=moved.amount,
            remark=moved.remark.replace("[", r"\["),
        )


def job_moved(job: Mapping[str, Any]) -> Moved:
    progress = job["progress"] if job["state"] == "running" else None
    total = progress["total"] if progress else None
    value = progress["value"] if progress else 0
    message = progress["message"] if progress else job["waiting_because"]
    return Moved(
        value=value,
        total=total,
        amount=_amount(value, total) if progress else job["state"],
        remark=first_line(message or ""),
    )


def _amount(value: float, total: float | None) -> str:
    if not total:
        return f"{value:g}"
    return f"{min(100.0, 100 * value / total):.0f} %"
