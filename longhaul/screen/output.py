"""Where a command writes: results on standard output, everything about them on standard error."""

import codecs
import json
import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.text import Text

from longhaul.screen.sheet import Cell, sheet

PIPED_WIDTH = 160  # columns, where nobody's terminal says

# No highlighting: colours mean something here.
out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
err = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Indented for people, the same keys for programs."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_raw(pieces: Iterable[bytes]) -> None:
    """JSON as it came, and the end of a line."""
    for text in codecs.iterdecode(pieces, "utf-8"):
        sys.stdout.write(text)
    sys.stdout.write("\n")


def show(renderable: RenderableType) -> None:
    out.print(renderable)


def say(text: str) -> None:
    """A remark for the person at the terminal."""
    err.print(escape(text), soft_wrap=True)


def warn(text: str) -> None:
    err.print(f"[yellow]warning:[/] {escape(text)}", soft_wrap=True)


def fail(text: str) -> None:
    err.print(f"[bold red]error:[/] {escape(text)}", soft_wrap=True)


def facts_table(facts: Iterable[tuple[str, Cell]]) -> Padding:
    """What is known of one thing, a line for each fact."""
    made = sheet(":whole", ":wrap", headed=False)
    for name, value in facts:
        made.add_row(Text(name, style="dim"), value)
    return indented(made)


def indented(renderable: RenderableType) -> Padding:
    return Padding(renderable, (0, 0, 0, 2), expand=False)
