"""The table: medians over the rounds, and each route as a ratio of the direct call."""

import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bench.caller import Latencies

AT_ONCE = (1, 16, 64, 256)
PERCENTILES = ("p50", "p95", "p99")
OURS = ("ingress", "worker", "broker", "store")


class Route(StrEnum):
    DIRECT = "direct"
    PROXY = "FastMCP proxy, one shared client"
    BARE = "bare hops"
    LONGHAUL = "Longhaul"


BESIDE = (Route.DIRECT, Route.PROXY, Route.BARE)  # what Longhaul is a ratio of


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    latencies: Latencies
    rates: dict[int, float]  # calls/s by how many are in flight
    cpu: dict[str, float]  # ms per call at 64 in flight, by process


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    held: float  # bytes
    queued: float


def report(results: dict[Route, list[Round]], memory: Memory, *, rabbit: str) -> str:
    count = len(results[Route.DIRECT])
    title = f"Python {platform.python_version()}, {os.cpu_count()} cores, RabbitMQ {rabbit} classic"
    return "\n".join(
        [
            f"{title}; echo over HTTP, medians of {count} interleaved rounds",
            "",
            "| | " + " | ".join([*results, "/ direct", "/ proxy", "/ bare hops"]) + " |",
            "|---|" + "---|" * (len(results) + len(BESIDE)),
            *(_row(f"sequential {name}, ms", results, _latency(name)) for name in PERCENTILES),
            _added(results),
            *(_row(f"calls/s, {many} in flight", results, _rate(many)) for many in AT_ONCE),
            _row("CPU ms per call, all processes", results, lambda each: sum(each.cpu.values())),
            "",
            "CPU ms per call at 64 in flight, by process:",
            "",
            *(f"- {route}: {_shares(rounds)}" for route, rounds in results.items()),
            "",
            f"Calls/s per core of {', '.join(OURS)}: {_per_core(results):.0f}",
            f"Memory per held call: {memory.held / 1000:.1f} kB",
            f"Memory of the ingress per queued job: {memory.queued:.0f} B",
        ]
    )


def _added(results: dict[Route, list[Round]]) -> str:
    direct = _median(results[Route.DIRECT], _latency("p50"))
    added = {route: _median(rounds, _latency("p50")) - direct for route, rounds in results.items()}
    ours = added[Route.LONGHAUL]
    cells = [f"{each:.2f}" for each in added.values()]
    ratios = ["", *(f"{ours / added[each]:.2f}" for each in BESIDE[1:])]
    return "| added p50, ms | " + " | ".join([*cells, *ratios]) + " |"


def _shares(rounds: list[Round]) -> str:
    names = rounds[0].cpu
    medians = {name: statistics.median(each.cpu[name] for each in rounds) for name in names}
    return ", ".join(f"{name} {ms:.2f}" for name, ms in medians.items())


def _per_core(results: dict[Route, list[Round]]) -> float:
    rounds = results[Route.LONGHAUL]
    return 1000 / sum(statistics.median(each.cpu[name] for each in rounds) for name in OURS)


def _latency(name: str) -> Callable[[Round], float]:
    return lambda each: float(getattr(each.latencies, name))


def _rate(at_once: int) -> Callable[[Round], float]:
    return lambda each: each.rates[at_once]


def _median(rounds: list[Round], value: Callable[[Round], float]) -> float:
    return statistics.median(value(each) for each in rounds)


def _row(title: str, results: dict[Route, list[Round]], value: Callable[[Round], float]) -> str:
    medians = {route: _median(rounds, value) for route, rounds in results.items()}
    ours = medians[Route.LONGHAUL]
    cells = [f"{each:.2f}" if each < 100 else f"{each:.0f}" for each in medians.values()]
    ratios = [f"{ours / medians[each]:.2f}" for each in BESIDE]
    return f"| {title} | " + " | ".join([*cells, *ratios]) + " |"
