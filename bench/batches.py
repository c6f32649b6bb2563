"""A batch: a file of rows in, a file of results out, by a command; as Celery's user has it, too."""

import os
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from bench.processes import cpu_seconds

PEER = "Celery, worker on RabbitMQ and Redis"
WITHIN = 600.0  # seconds for a batch


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPlace:
    """A command that takes `ROWS RESULTS` as its last words, and which processes work for it."""

    command: Sequence[str]
    options: Sequence[str]  # between the rows and the results
    environment: Mapping[str, str]
    pids: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRound:
    rate: float  # rows/s, from the start of the command to its end
    cpu: Mapping[str, float]  # ms per row, by process


def write_rows(file: Path, rows: int) -> None:
    with file.open("wb") as out:
        out.writelines(orjson.dumps({"text": f"ping {n}"}) + b"\n" for n in range(1, rows + 1))


def measure_batch(place: BatchPlace, rows: Path, results: Path) -> BatchRound:
    """Raises: CalledProcessError: The command failed. AssertionError: Results are missing."""
    wanted = rows.read_bytes().count(b"\n")
    results.unlink(missing_ok=True)
    before = {name: cpu_seconds(pid) for name, pid in place.pids.items()}
    of_commands = _of_children()
    started = time.perf_counter()
    subprocess.run(
        [*place.command, str(rows), *place.options, str(results)],
        env={**os.environ, **place.environment},
        check=True,
        timeout=WITHIN,
        stderr=subprocess.DEVNULL,
    )
    took = time.perf_counter() - started
    spent = {name: cpu_seconds(pid) - before[name] for name, pid in place.pids.items()}
    spent["command"] = _of_children() - of_commands
    have = results.read_bytes().count(b"\n")
    if have != wanted:
        raise AssertionError(f"{have} results for {wanted} rows")
    cpu = {name: each / wanted * 1000 for name, each in spent.items()}
    return BatchRound(rate=wanted / took, cpu=cpu)


def batch_report(rows: int, peer: Sequence[BatchRound], ours: Sequence[BatchRound]) -> str:
    def row(title: str, value: Callable[[BatchRound], float]) -> str:
        theirs, mine = (statistics.median(map(value, each)) for each in (peer, ours))
        return f"| {title} | {theirs:.2f} | {mine:.2f} | {mine / theirs:.2f} |"

    return "\n".join(
        [
            f"| a batch of {rows:,} rows | {PEER} | Longhaul | ratio |",
            "|---|---|---|---|",
            row("rows/s, file to file", lambda each: each.rate),
            row("CPU ms per row, all processes", lambda each: sum(each.cpu.values())),
            "",
            f"- {PEER}: {_shares(peer)}",
            f"- Longhaul: {_shares(ours)}",
        ]
    )


def _shares(rounds: Sequence[BatchRound]) -> str:
    return ", ".join(
        f"{name} {statistics.median(each.cpu[name] for each in rounds):.2f}"
        for name in rounds[0].cpu
    )


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
