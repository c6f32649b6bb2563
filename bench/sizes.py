"""How long listings take in a store of a million finished and 100,000 waiting jobs, on both stores.

    python -m bench.sizes [--finished 1000000] [--waiting 100000] [--write] [--filled URL ...]

It fills a Redis of its own and a file of SQLite (a quarter of an hour, 3 GB), asks the REST
interface of an ingress, and measures what else grows with the number of jobs. `--filled` names
stores that an earlier run with `--fill URL` has filled. With --write the table replaces the one in
docs/performance.md.
"""

import argparse
import asyncio
import logging
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import structlog

from bench.growth import Growth, per_job, sweep_rate
from common.catalogue import catalogue_entry
from common.config.model import Settings
from common.config.urls import scheme, sqlite_url
from common.recovery import publish_waiting
from common.runtime import open_runtime
from tests.support.crowd import RARE_CALLER, RARE_ERROR, RARE_TOOL, fill, finished, waiting
from tests.support.ledger import open_ledger
from tests.support.private_redis import PrivateRedis
from tests.support.surfaces import Surface, surface
from tests.support.waiting import until

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
BEGIN, END = "<!-- made by bench.sizes -->", "<!-- end of sizes -->"
NAMESPACE = "lh"
TIMES = 20  # each question
TOOL, CALLER, OTHER_CALLER, OTHER_TOOL = (
    *("exporter__export_0", "key-00000000"),
    *("key-00000020", "exporter__export_12"),
)
JOBS, LETTERS = "/v1/jobs", "/v1/dead-letters"


@dataclass(frozen=True, slots=True)
class Times:
    p50: float  # ms
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    times: dict[str, Times]
    growth: Growth


def questions() -> dict[str, tuple[str, dict[str, str]]]:
    """What is asked: name, path, query."""
    days = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    return {
        "nothing, for comparison (`/livez`)": ("/livez", {}),
        "the newest 50": (JOBS, {}),
        "the newest 500": (JOBS, {"limit": "500"}),
        "a state: `queued`, 100,000 of them": (JOBS, {"state": "queued"}),
        "a state: `failed`": (JOBS, {"state": "failed"}),
        "a tool with many jobs": (JOBS, {"tool": TOOL}),
        "a tool with one job in a thousand": (JOBS, {"tool": RARE_TOOL}),
        "tool and state": (JOBS, {"tool": TOOL, "state": "failed"}),
        "a caller with many jobs": (JOBS, {"caller": CALLER}),
        "caller and state": (JOBS, {"caller": CALLER, "state": "failed"}),
        "a caller with few jobs, and a state": (JOBS, {"caller": RARE_CALLER, "state": "failed"}),
        "caller and tool that have little in common": (
            *(JOBS, {"caller": OTHER_CALLER, "tool": OTHER_TOOL}),
        ),
        "until three days ago": (JOBS, {"until": days}),
        "completed until three days ago": (JOBS, {"state": "completed", "until": days}),
        "an error that many have": (JOBS, {"error": "rate limit"}),
        "an error that few have": (JOBS, {"error": RARE_ERROR}),
        "an error of one caller": (JOBS, {"error": "refused", "caller": RARE_CALLER}),
        "dead letters": (LETTERS, {}),
        "dead letters with an error": (LETTERS, {"error": RARE_ERROR}),
        "dead letters of a caller": (LETTERS, {"caller": CALLER}),
        "dead letters, counted by error": (LETTERS, {"group": "error"}),
        "queues": ("/v1/queues", {}),
    }


async def measure(url: str, folder: Path) -> Result:
    started = await _start_up(url, folder) if scheme(url) == "sqlite" else None
    async with _serving(url, folder) as serving:
        times = {
            name: await _asked(serving, path, query) for name, (path, query) in questions().items()
        }
        queued = (await serving.http.get(JOBS, params={"state": "queued"})).json()
        times["one waiting job, the last in its queue"] = await _asked(
            serving, f"{JOBS}/{queued['jobs'][0]['id']}", {}
        )
        times["a caller's pages, one after the other"] = await _paged(serving)
        swept = await sweep_rate(serving.runtime)
    return Result(times=times, growth=Growth(start_s=started, swept=swept))


@asynccontextmanager
async def _serving(url: str, folder: Path) -> AsyncIterator[Surface]:
    tools = [{"name": f"export_{n}", "inputSchema": {"type": "object"}} for n in range(20)]
    async with surface(folder, store_url=url, namespace=NAMESPACE) as serving:
        entry = catalogue_entry(
            backend="exporter", started_at=1, trusted=False, listing={"tools": tools}
        )
        await serving.runtime.store.put_catalogue(entry)
        await until(lambda: TOOL in serving.ingress.feed.current.tools)
        yield serving


async def _asked(serving: Surface, path: str, query: dict[str, str]) -> Times:
    spent = []
    for _ in range(TIMES):
        began = time.perf_counter()
        answer = await serving.http.get(path, params=query)
        spent.append((time.perf_counter() - began) * 1000)
        answer.raise_for_status()
    return _times(spent)


async def _paged(serving: Surface) -> Times:
    spent, cursor = [], None
    for _ in range(TIMES):
        query = {"caller": CALLER} | ({"cursor": cursor} if cursor else {})
        began = time.perf_counter()
        page = (await serving.http.get(JOBS, params=query)).json()
        spent.append((time.perf_counter() - began) * 1000)
        cursor = page["cursor"]
    return _times(spent)


def _times(spent: list[float]) -> Times:
    return Times(statistics.median(spent), statistics.quantiles(spent, n=20)[-1])


async def _start_up(url: str, folder: Path) -> float:
    """Seconds until an embedded router has its queues again."""
    settings = Settings.model_validate({"store_url": url, "data": str(folder)})
    async with open_runtime(settings) as runtime:
        began = time.perf_counter()
        await publish_waiting(runtime)
        return time.perf_counter() - began


async def fill_store(url: str, done: int, queued: int) -> None:
    async with open_ledger(url, NAMESPACE) as ledger:
        now = await ledger.store.now()
        await fill(ledger.store, finished(done, now))
        await fill(ledger.store, waiting(queued, now))


def table(results: dict[str, Result]) -> str:
    first = next(iter(results.values()))
    rows = [
        f"| {name} | "
        + " | ".join(
            f"{each.times[name].p50:.0f} | {each.times[name].p95:.0f}" for each in results.values()
        )
        + " |"
        for name in first.times
    ]
    heads = " | ".join(f"{name} p50, ms | p95, ms" for name in results)
    grown = [line for name, each in results.items() for line in each.growth.lines(name)]
    return "\n".join(
        [f"| `GET /v1/…` | {heads} |", "|---|" + "---|---|" * len(results), *rows, "", *grown]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--finished", type=int, default=1_000_000)
    parser.add_argument("--waiting", type=int, default=100_000)
    parser.add_argument("--filled", nargs="*", metavar="URL")
    parser.add_argument("--fill", metavar="URL")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    if options.fill:
        asyncio.run(fill_store(options.fill, options.finished, options.waiting))
        return
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        urls = options.filled or _new_stores(stack, Path(folder))
        results: dict[str, Result] = {}
        for url in urls:
            if not options.filled:
                asyncio.run(fill_store(url, options.finished, options.waiting))
            name = "SQLite" if scheme(url) == "sqlite" else "Redis"
            results[name] = asyncio.run(measure(url, Path(folder)))
        memory = asyncio.run(per_job(stack.enter_context(PrivateRedis()).url))
    text = f"{table(results)}\n{memory}\n"
    print(text)
    if options.write:
        _write(text)


def _new_stores(stack: ExitStack, folder: Path) -> list[str]:
    redis = stack.enter_context(PrivateRedis(settings={"appendonly": "no"}))
    return [redis.url, sqlite_url(folder / "longhaul.db")]


def _write(text: str) -> None:
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    load = os.getloadavg()[0]
    noted = f"{date.today():%B %Y}, load {load:.1f} at the end.\n\n{text}"  # noqa: DTZ011 - its own day
    PAGE.write_text(f"{before}{BEGIN}\n{noted}{END}{after}")


if __name__ == "__main__":
    main()
