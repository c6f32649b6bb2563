"""What moves on a terminal of 80 columns while a call or a batch lasts."""

import re

import pytest
from rich.console import Console

from longhaul.screen.live import Moved, MovingLine

WHY = (
    "queue exports is paused by ann since 12:04:10 UTC · 12,004 completed · 7 tool errors · 2 lost"
)


def lines_of(tool: str, remark: str, *, width: int = 80) -> list[str]:
    console = Console(width=width, no_color=True, force_terminal=True)
    line = MovingLine(console)
    line.begin(tool)
    line.move(Moved(value=12_013, total=100_000, amount="12,013 of 100,000", remark=remark))
    with console.capture() as captured:
        console.print(line.get_renderable())
    return [each.rstrip() for each in re.sub(r"\x1b\[\d*m", "", captured.get()).splitlines()]


def test_where_there_is_room_all_stands_in_one_line() -> None:
    [line] = lines_of("exporter__export", WHY, width=180)
    assert re.fullmatch(rf". exporter__export ━+[ ━╸]+12,013 of 100,000 0:00:00 {WHY}", line)


@pytest.mark.parametrize(
    "tool", ["t", "exporter__export_rows", "a-tool-of-some-fifty-letters-" * 2]
)
def test_the_tool_the_bar_the_amount_and_the_clock_are_whole_on_a_narrow_one(tool: str) -> None:
    lines = lines_of(tool, WHY)
    assert max(map(len, lines)) <= 80
    assert any(tool in line for line in lines)
    [bar] = [line for line in lines if "12,013 of 100,000 0:00:00" in line]
    assert re.search(r"━", bar)
    assert " ".join(line.strip() for line in lines[lines.index(bar) + 1 :]) == WHY


def test_a_short_remark_stays_in_the_line() -> None:
    [line] = lines_of("t", "[5 rows/s]")
    assert line.endswith("[5 rows/s]")
