"""What a drill found, on the screen. Pure: verdicts in, a table out."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from longhaul.drill.verdict import Verdict
from longhaul.screen.sheet import Sheet, sheet


def drill_table(verdicts: Sequence[Verdict]) -> Sheet:
    shown = sheet(
        *("SCENARIO:whole", "JOBS:number", "COMPLETED:number", "UNKNOWN:number", "FAILED:number"),
        *("LOST:number", "TWICE:number", "FIRST DONE:number", "ALL ENDED:number"),
    )
    for verdict in verdicts:
        shown.add_row(
            verdict.scenario,
            str(verdict.jobs),
            str(verdict.completed),
            str(verdict.unknown),
            str(verdict.failed),
            _bad(len(verdict.lost)),
            _bad(len(verdict.twice)),
            _seconds(verdict.first),
            _seconds(verdict.all),
        )
    return shown


def drill_json(verdicts: Sequence[Verdict], *, complete: bool) -> dict[str, Any]:
    return {
        "passed": complete and all(verdict.passed for verdict in verdicts),
        "scenarios": [asdict(verdict) for verdict in verdicts],
    }


def _bad(count: int) -> Text:
    return Text(str(count), style="bold red" if count else "green")


def _seconds(passed: float | None) -> str:
    return "never" if passed is None else f"{passed:.1f} s"
