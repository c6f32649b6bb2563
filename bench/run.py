"""One command: Longhaul beside a direct call, a FastMCP proxy, fastmcp-tasks and Celery, as ratios.

    python -m bench.run [--rounds 3] [--calls 400] [--rabbit 3.10|4.3] [--write]

It starts a RabbitMQ and a Redis of its own, as the tests do. Compare the ratios; the absolute
numbers belong to the machine. With --write the tables replace those in docs/performance.md.
"""

import argparse
import asyncio
import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import date
from pathlib import Path

from bench.batches import BatchPlace, BatchRound, batch_report, measure_batch, write_rows
from bench.caller import Latencies, in_flight, sequential
from bench.memory import per_held_call, per_queued_job
from bench.places import Place, Stage, TaskPlace
from bench.processes import cpu_seconds
from bench.report import AT_ONCE, Memory, Round, Route, report
from bench.task_report import TaskRound, task_report
from bench.tasks import IN_FLIGHT, OFTEN, Pace, polled, pushed, submit_latency

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BATCH = 3000  # rows
SLICES, WARM = 10, 10  # of the sequential calls of a round; calls before each that do not count
BEGIN, END = "<!-- made by make bench -->", "<!-- end -->"


async def measure(place: Place, seconds: list[float], calls: int) -> Round:
    rates: dict[int, float] = {}
    cpu: dict[str, float] = {}
    for at_once in AT_ONCE:
        many = calls if at_once == 1 else calls * 4
        spent = Spent(place.pids)
        rates[at_once] = await in_flight(place.url, place.tool, at_once=at_once, calls=many)
        if at_once == 64:
            cpu = spent.ms_per(many)
    return Round(latencies=Latencies.of(seconds), rates=rates, cpu=cpu)


async def measure_sequential(places: list[Place], calls: int) -> dict[Route, list[float]]:
    """In slices: a machine that others share changes its pace within seconds."""
    seconds: dict[Route, list[float]] = {place.route: [] for place in places}
    for _ in range(SLICES):
        for place in places:
            await sequential(place.url, place.tool, WARM)
            some = max(1, calls // SLICES)
            seconds[place.route] += await sequential(place.url, place.tool, some)
    return seconds


async def measure_tasks(place: TaskPlace, tasks: int) -> TaskRound:
    server = place.server
    latencies = Latencies.of(await submit_latency(server, tasks // 4))
    paces: dict[tuple[str, int], Pace] = {}
    cpu: dict[str, float] = {}
    paces["said", 64] = await polled(server, at_once=64, tasks=128)
    for at_once in IN_FLIGHT:
        spent = Spent(place.pids)
        paces["often", at_once] = await polled(server, at_once=at_once, tasks=tasks, often=OFTEN)
        if at_once == 64:
            cpu = spent.ms_per(tasks)
        if place.pushes:
            paces["pushed", at_once] = await pushed(server, at_once=at_once, tasks=tasks)
    return TaskRound(submit_p50=latencies.p50, paces=paces, cpu=cpu)


class Spent:
    """The CPU time of some processes since this was made."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before = {name: cpu_seconds(pid) for name, pid in pids.items()}

    def ms_per(self, count: int) -> dict[str, float]:
        return {
            name: (cpu_seconds(pid) - self._before[name]) / count * 1000
            for name, pid in self._pids.items()
        }


async def measure_all(places: list[Place], rounds: int, calls: int) -> dict[Route, list[Round]]:
    """Interleaved, so that a slow minute of the machine meets all of them."""
    results: dict[Route, list[Round]] = {place.route: [] for place in places}
    for _ in range(rounds):
        seconds = await measure_sequential(places, calls)
        for place in places:
            results[place.route].append(await measure(place, seconds[place.route], calls))
    return results


async def measure_all_tasks(
    places: list[TaskPlace], rounds: int, tasks: int
) -> list[list[TaskRound]]:
    """By place, interleaved as well."""
    results: list[list[TaskRound]] = [[] for _ in places]
    for _ in range(rounds):
        for place, measured in zip(places, results, strict=True):
            measured.append(await measure_tasks(place, tasks))
    return results


def measure_batches(places: list[BatchPlace], rounds: int, folder: Path) -> list[list[BatchRound]]:
    """By place, interleaved as well, after a short one of each."""
    results: list[list[BatchRound]] = [[] for _ in places]
    few, many = folder / "few.jsonl", folder / "many.jsonl"
    write_rows(few, 100)
    write_rows(many, BATCH)
    for place in places:
        measure_batch(place, few, folder / "results.jsonl")
    for _ in range(rounds):
        for place, measured in zip(places, results, strict=True):
            measured.append(measure_batch(place, many, folder / "results.jsonl"))
    return results


async def measure_memory(longhaul: Place) -> Memory:
    ingress = longhaul.pids["ingress"]
    return Memory(
        held=await per_held_call(longhaul.url, ingress),
        queued=await per_queued_job(longhaul.url, ingress),
    )


def write(tables: str) -> None:
    """Put the tables where the documentation has those of the run before."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    load = os.getloadavg()[0]
    noted = f"{date.today():%B %Y}, load {load:.1f} at the end.\n\n{tables}"  # noqa: DTZ011 - its own day
    PAGE.write_text(f"{before}{BEGIN}\n{noted}{END}{after}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--rabbit", choices=["3.10", "4.3"], default="3.10")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("LONGHAUL_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stage = Stage(stack, Path(folder), options.rabbit)
        places = stage.places()
        results = asyncio.run(measure_all(places, options.rounds, options.calls))
        peer, ours = asyncio.run(
            measure_all_tasks(stage.tasks(places[-1]), options.rounds, options.calls)
        )
        batches = stage.batches(places[-1], places[0].url)
        celery, batched = measure_batches(batches, options.rounds, Path(folder))
        memory = asyncio.run(measure_memory(places[-1]))
    tables = "\n\n".join(
        [
            report(results, memory, rabbit=options.rabbit),
            task_report(peer, ours),
            batch_report(BATCH, celery, batched),
        ]
    )
    tables += "\n"
    print(tables)
    if options.write:
        write(tables)


if __name__ == "__main__":
    main()
