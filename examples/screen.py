"""What the demo shows: calm on a terminal, plain lines in a log."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mcp_types import Tool
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def step(title: str) -> None:
    console.print(f"\n[bold cyan]{title}[/]")


def show_tools(tools: list[Tool]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("tool")
    table.add_column("what it does")
    for tool in sorted(tools, key=lambda tool: tool.name):
        table.add_row(tool.name, (tool.description or "").strip().splitlines()[0])
    console.print(table)


class Told:
    """Progress on a terminal as a bar that moves, elsewhere as a line for every quarter."""

    def __init__(self, bar: Progress | None) -> None:
        self._bar = bar
        self._task = None if bar is None else bar.add_task("exporting", total=None, message="")
        self._quarter = 0
        self.values: list[float] = []

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.values.append(progress)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=progress, total=total, message=message or "")
            return
        quarter = int(4 * progress / total) if total else 0
        if quarter > self._quarter:
            self._quarter = quarter
            console.print(f"  {message}")


@contextmanager
def told() -> Iterator[Told]:
    if not console.is_terminal:
        yield Told(None)
        return
    columns = (BarColumn(40), TextColumn("{task.description}  {task.fields[message]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        yield Told(bar)


def board(labels: Sequence[str], jobs: Sequence[Mapping[str, Any]]) -> Table:
    """The jobs of the priority scene, as `GET /v1/jobs/{id}` tells of them."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("submitted")
    table.add_column("priority", justify="right")
    table.add_column("state", min_width=9)
    table.add_column("now", min_width=32)
    for label, job in zip(labels, jobs, strict=True):
        progress = job.get("progress") or {}
        now = job.get("waiting_because") or progress.get("message") or ""
        table.add_row(label, str(job["priority"]), job["state"], now)
    return table
