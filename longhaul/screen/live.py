"""A job on the terminal while it lasts: one line that moves, on standard error."""

from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from longhaul.screen.output import err
from longhaul.screen.words import first_line


class Live:
    """Quiet where standard error is no terminal."""

    def __init__(self, tool: str) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("[bold]{task.fields[tool]}"),
            BarColumn(bar_width=32),
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

    def show(self, job: dict[str, Any]) -> None:
        progress = job["progress"] if job["state"] == "running" else None
        total = progress["total"] if progress else None
        value = progress["value"] if progress else 0
        message = progress["message"] if progress else job["waiting_because"]
        self._bar.update(
            self._task,
            total=total,
            completed=value if total else 0,
            amount=_amount(value, total) if progress else job["state"],
            remark=first_line(message or "").replace("[", r"\["),
        )


def _amount(value: float, total: float | None) -> str:
    if not total:
        return f"{value:g}"
    return f"{min(100.0, 100 * value / total):.0f} %"
