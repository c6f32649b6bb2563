"""The table of tasks: medians over the rounds, beside another server of tasks."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.tasks import IN_FLIGHT, OFTEN, Pace

PEER = "fastmcp-tasks, server and worker on Redis"
NO_PUSH = "has no push"
CPU = "CPU ms per task at 64 in flight, asked for often, by process:"
WAYS: Mapping[str, str] = {
    "said": "asked for at the server's `pollIntervalMs`",
    "often": f"asked for every {OFTEN * 1000:.0f} ms",
    "pushed": "pushed (`subscriptions/listen`)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRound:
    submit_p50: float  # ms
    paces: Mapping[tuple[str, int], Pace]  # by way and by how many are under way
    cpu: Mapping[str, float]  # ms per task, 64 under way, asked for often, by process


def task_report(peer: Sequence[TaskRound], ours: Sequence[TaskRound]) -> str:
    rows = [
        _row("submit p50, ms", [_median(each, lambda it: it.submit_p50) for each in (peer, ours)])
    ]
    for many in IN_FLIGHT:
        rows += [
            _row(
                f"tasks/s, {many} in flight, {words}",
                [_rate(each, way, many) for each in (peer, ours)],
            )
            for way, words in WAYS.items()
            if (way, many) in ours[0].paces
        ]
    rows += [
        _row(f"errors, {many} in flight", [_errors(each, many) for each in (peer, ours)])
        for many in IN_FLIGHT
    ]
    rows.append(_row("CPU ms per task, all processes", [_cpu(each) for each in (peer, ours)]))
    head = [f"| tasks | {PEER} | Longhaul | ratio |", "|---|---|---|---|"]
    shares = [f"- {PEER}: {_shares(peer)}", f"- Longhaul: {_shares(ours)}"]
    return "\n".join([*head, *rows, "", CPU, "", *shares])


def _shares(rounds: Sequence[TaskRound]) -> str:
    names = rounds[0].cpu
    return ", ".join(
        f"{name} {statistics.median(each.cpu[name] for each in rounds):.2f}" for name in names
    )


def _median(rounds: Sequence[TaskRound], value: Callable[[TaskRound], float]) -> float:
    return statistics.median(value(each) for each in rounds)


def _rate(rounds: Sequence[TaskRound], way: str, many: int) -> float | None:
    if (way, many) not in rounds[0].paces:
        return None
    return _median(rounds, lambda each: each.paces[way, many].rate)


def _errors(rounds: Sequence[TaskRound], many: int) -> float:
    return sum(pace.errors for each in rounds for (_, at), pace in each.paces.items() if at == many)


def _cpu(rounds: Sequence[TaskRound]) -> float:
    return _median(rounds, lambda each: sum(each.cpu.values()))


def _row(title: str, values: Sequence[float | None]) -> str:
    peer, ours = values
    ratio = f"{ours / peer:.2f}" if peer and ours else ""
    return f"| {title} | " + " | ".join([*map(_cell, values), ratio]) + " |"


def _cell(value: float | None) -> str:
    if value is None:
        return NO_PUSH
    return f"{value:.2f}" if value < 100 and value != int(value) else f"{value:.0f}"
