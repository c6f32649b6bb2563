"""What a run showed, and whether what is promised of a batch was kept."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.volume.watching import MB, Seen

MOST_MEMORY = 200 * MB  # of the command, and of the ingress
MOST_FOR_WAITING = 1000  # bytes in the store for a row that waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    rows: int
    lines: int
    missing: int  # rows without a line
    twice: int  # rows with more than one
    wrong: int  # lines with another row's result, or out of order
    states: Mapping[str, int]
    exit_code: int
    batches: int  # ids that the command printed: one, however often it was started
    starts: int  # of the tool
    seconds: float
    in_flight: int
    seen: Seen
    strikes: Sequence[str]

    @property
    def kept(self) -> bool:
        whole = self.lines == self.rows and not (self.missing or self.twice or self.wrong)
        ended_well = self.exit_code == 0 and self.states == {"completed": self.rows}
        memory = all(self.seen.memory[name] < MOST_MEMORY for name in ("command", "ingress"))
        return (
            whole
            and ended_well
            and memory
            and self.seen.waiting <= MOST_FOR_WAITING * self.rows
            and self.batches == 1
            and self.starts >= self.rows
            and self.seen.tokens <= self.in_flight
        )


def judged(
    results: Path,
    starts: Path,
    *,
    rows: int,
    exit_code: int,
    seconds: float,
    in_flight: int,
    seen: Seen,
    strikes: Sequence[str],
) -> Verdict:
    states: Counter[str] = Counter()
    had: Counter[int] = Counter()
    ids: set[str] = set()
    wrong, last = 0, 0
    with results.open("rb") as lines:
        for line in lines:
            result = json.loads(line)
            row = result["row"]
            had[row] += 1
            states[result["state"]] += 1
            ids.add(result["id"].rpartition(".")[0])
            wrong += row <= last or not _is_of(result, row)
            last = row
    return Verdict(
        rows=rows,
        lines=had.total(),
        missing=sum(row not in had for row in range(1, rows + 1)),
        twice=sum(count > 1 for count in had.values()),
        wrong=wrong,
        states=dict(states),
        exit_code=exit_code,
        batches=len(ids),
        starts=starts.read_bytes().count(b"\n"),
        seconds=seconds,
        in_flight=in_flight,
        seen=seen,
        strikes=strikes,
    )


def _is_of(result: Mapping[str, object], row: int) -> bool:
    """The tool answers with the number of its row."""
    said = result.get("result")
    return isinstance(said, dict) and said.get("content") == [{"type": "text", "text": str(row)}]


def table(verdict: Verdict) -> str:
    """As `make volume` prints it and docs/batches.md shows it."""
    memory = verdict.seen.memory
    facts = {
        "rows": f"{verdict.rows:,}",
        "lines of results": f"{verdict.lines:,}",
        "rows without a line": verdict.missing,
        "rows with two lines": verdict.twice,
        "lines with a wrong result, or out of order": verdict.wrong,
        **{f"ended as {state}": f"{count:,}" for state, count in sorted(verdict.states.items())},
        "batches, over all starts of the command": verdict.batches,
        "starts of the tool": f"{verdict.starts:,}",
        "killed (SIGKILL), in this order": ", ".join(verdict.strikes),
        "memory of the command, at most": f"{memory['command'] / MB:.0f} MB",
        "memory of the ingress, at most": f"{memory['ingress'] / MB:.0f} MB",
        f"tokens waiting at the broker, at most ({verdict.in_flight} rows in flight)": (
            verdict.seen.tokens
        ),
        "store, per row while all wait": f"{verdict.seen.waiting / verdict.rows:,.0f} bytes",
        "store, per row at the end": f"{verdict.seen.store / verdict.rows:,.0f} bytes",
        "took": f"{verdict.seconds:.0f} s, {verdict.rows / verdict.seconds:.0f} rows/s",
    }
    return "\n".join(f"| {name} | {value} |" for name, value in facts.items())
