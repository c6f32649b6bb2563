"""Rows of a batch in a file, the file of their results, and what the gated tool noted of them."""

import json
from pathlib import Path
from typing import Any


def write(file: Path, *rows: dict[str, Any] | str) -> str:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    file.write_text("".join(f"{line}\n" for line in lines))
    return str(file)


def labelled(log: Path, count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"log": str(log), "label": f"row {n}", **more} for n in range(1, count + 1)]


def results(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()]


def rows_of(out: Path) -> list[int]:
    return [result["row"] for result in results(out)] if out.exists() else []


def starts(log: Path) -> list[str]:
    return sorted(line for line in log.read_text().splitlines() if line.endswith("started"))


def id_of(out: Path) -> str:
    return str(results(out)[0]["id"].rpartition(".")[0])


def mixed(file: Path, log: Path) -> str:
    """Rows of which two are fine; the others fail each in its own way."""
    return write(
        file,
        {"log": str(log), "label": "row 1"},
        '{"log": ',
        {"log": str(log), "label": "row 3", "then": "tool error"},
        {"log": str(log), "label": "row 4", "then": "refuse"},
        {"log": str(log), "label": "row 5", "steps": "many"},
        {"log": str(log), "label": "row 6"},
    )
