"""A job or a batch on the terminal while it lasts: one line that moves, on standard error.

What it says of itself stands in that line where there is room, else beneath it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from longhaul.screen.output import err
from longhaul.screen.words import first_line

BAR = 24  # cells
SHORTEST_BAR = 8
INDENT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How far it is. Without a total nobody knows."""

    value: float
    total: float | None
    amount: str
    remark: str


class MovingLine(Progress):
    """Tool, bar, amount, clock and remark. All is whole but the bar, which gives way first."""

    def __init__(self, console: Console) -> None:
        self._spinner, self._clock = SpinnerColumn(), TimeElapsedColumn()
        super().__init__(console=console, transient=True, disable=not console.is_terminal)

    def begin(self, tool: str) -> None:
        self.add_task("", total=None, tool=tool, amount="", remark="")

    def move(self, moved: Moved) -> None:
        self.update(
            self.tasks[0].id,
            total=moved.total,
            completed=moved.value if moved.total else 0,
            amount=moved.amount,
            remark=moved.remark,
        )

    @override
    def get_renderables(self) -> Iterator[RenderableType]:
        for task in self.tasks:
            yield from self._lines(task)

    def _lines(self, task: Task) -> Iterator[RenderableType]:
        tool, amount = Text(task.fields["tool"], style="bold"), Text(task.fields["amount"])
        remark, clock = Text(task.fields["remark"], style="dim"), self._clock(task)
        spinner = self._spinner(task)
        others = [Text(" "), tool, amount, clock]
        room = self.console.width - sum(_breadth(each) + 1 for each in others)
        bar = BarColumn(bar_width=min(BAR, room) if room >= SHORTEST_BAR else BAR)(task)
        if room > BAR + _breadth(remark):
            yield _side_by_side(spinner, tool, bar, amount, clock, remark)
            return
        if room >= SHORTEST_BAR:
            yield _side_by_side(spinner, tool, bar, amount, clock)
        else:
            yield _side_by_side(spinner, tool)
            yield Padding(_side_by_side(bar, amount, clock), (0, 0, 0, INDENT), expand=False)
        if remark:
            yield Padding(remark, (0, 0, 0, INDENT), expand=False)


def _side_by_side(*cells: RenderableType) -> Table:
    line = Table.grid(padding=(0, 1))
    line.add_row(*cells)
    return line


def _breadth(cell: RenderableType) -> int:
    return cell_len(cell.plain) if isinstance(cell, Text) else 0


class Live:
    """Quiet where standard error is no terminal. `read` makes of JSON what is shown."""

    def __init__(self, tool: str, read: Callable[[Mapping[str, Any]], Moved]) -> None:
        self._read = read
        self._bar = MovingLine(err)
        self._bar.begin(tool)

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
        self._bar.move(self._read(shown))


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
