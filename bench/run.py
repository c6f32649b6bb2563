"""One command: Longhaul beside a direct call and a FastMCP proxy, in one run, printed as ratios.

    python -m bench.run [--rounds 3] [--calls 600] [--rabbit 3.10|4.3]

It starts a RabbitMQ and a Redis of its own, as the tests do. Compare the ratios; the absolute
numbers belong to the machine.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.caller import Connection, answered, in_flight, request, sequential
from bench.memory import per_held_call, per_queued_job
from bench.processes import cpu_seconds, pid_listening_on, process
from bench.report import AT_ONCE, Memory, Round, Route, report
from tests.support.peers import peer_python
from tests.support.ports import free_port
from tests.support.servers import new_rabbit, new_rabbit43, new_redis

HERE = Path(__file__).parent
PYTHON = sys.executable


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a route is called, and which processes work for it."""

    route: Route
    url: str
    tool: str
    pids: dict[str, int]  # by name


def longhaul_config(folder: Path, backend: str) -> Path:
    config = folder / "longhaul.yaml"
    config.write_text(
        "mcpServers:\n"
        f"  echo: {{url: '{backend}', concurrency: 512}}\n"
        "queues:\n  echo: {slots: 64}\n  parked: {slots: 1}\n"
        "tools:\n  'echo__hold': {queue: parked}\n"
        "log_level: warning\n"
    )
    return config


def longhaul_environment(folder: Path, backend: str, broker: str, store: str) -> dict[str, str]:
    return {
        "LONGHAUL_BROKER_URL": broker,
        "LONGHAUL_STORE_URL": store,
        "LONGHAUL_QUEUE_TYPE": "classic",
        "LONGHAUL_DATA": str(folder / "data"),
        "LONGHAUL_CONFIG": str(longhaul_config(folder, backend)),
    }


def start_all(stack: ExitStack, folder: Path, rabbit_version: str) -> list[Place]:
    log = folder / "log"

    def start(*command: str, environment: dict[str, str] | None = None) -> int:
        return stack.enter_context(process(*command, environment=environment, log=log)).pid

    backend_port, proxy_port, ingress_port = free_port(), free_port(), free_port()
    backend = f"http://127.0.0.1:{backend_port}/mcp"
    backend_pid = start(PYTHON, str(HERE / "echo_backend.py"), str(backend_port))
    asyncio.run(answered(lambda: one_call(backend, "echo")))
    proxy = f"http://127.0.0.1:{proxy_port}/mcp"
    fastmcp = str(peer_python("fastmcp"))
    proxy_pid = start(fastmcp, str(HERE / "fastmcp_proxy.py"), backend, str(proxy_port))
    rabbit = stack.enter_context(new_rabbit43() if rabbit_version == "4.3" else new_rabbit())
    redis = stack.enter_context(new_redis())
    environment = longhaul_environment(folder, backend, rabbit.url, redis.url)
    longhaul = str(Path(PYTHON).with_name("longhaul"))
    worker_pid = start(longhaul, "worker", "--queue", "echo=64", environment=environment)
    ingress_pid = start(longhaul, "ingress", "--port", str(ingress_port), environment=environment)
    ingress = f"http://127.0.0.1:{ingress_port}/mcp"
    asyncio.run(answered(lambda: one_call(ingress, "echo__echo")))
    asyncio.run(answered(lambda: one_call(proxy, "echo")))
    direct = {"backend": backend_pid}
    routed = {
        **direct,
        "ingress": ingress_pid,
        "worker": worker_pid,
        "broker": pid_listening_on(rabbit.url),
        "store": pid_listening_on(redis.url),
    }
    proxied = {**direct, "proxy": proxy_pid}
    return [
        Place(route=Route.DIRECT, url=backend, tool="echo", pids=direct),
        Place(route=Route.PROXY, url=proxy, tool="echo", pids=proxied),
        Place(route=Route.LONGHAUL, url=ingress, tool="echo__echo", pids=routed),
    ]


async def one_call(url: str, tool: str) -> None:
    connection = await Connection.to(url)
    try:
        await connection.call(request(url, tool, {"text": "ping"}), b"ping")
    finally:
        connection.close()


async def measure(place: Place, calls: int) -> Round:
    await sequential(place.url, place.tool, max(20, calls // 10))  # warm
    latencies = await sequential(place.url, place.tool, calls)
    rates: dict[int, float] = {}
    cpu: dict[str, float] = {}
    for at_once in AT_ONCE:
        many = calls if at_once == 1 else calls * 4
        before = {name: cpu_seconds(pid) for name, pid in place.pids.items()}
        rates[at_once] = await in_flight(place.url, place.tool, at_once=at_once, calls=many)
        if at_once == 64:
            cpu = {
                name: (cpu_seconds(pid) - before[name]) / many * 1000
                for name, pid in place.pids.items()
            }
    return Round(latencies=latencies, rates=rates, cpu=cpu)


async def measure_all(places: list[Place], rounds: int, calls: int) -> dict[Route, list[Round]]:
    """Interleaved, so that a slow minute of the machine meets all of them."""
    results: dict[Route, list[Round]] = {place.route: [] for place in places}
    for _ in range(rounds):
        for place in places:
            results[place.route].append(await measure(place, calls))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=600)
    parser.add_argument("--rabbit", choices=["3.10", "4.3"], default="3.10")
    options = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("LONGHAUL_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        places = start_all(stack, Path(folder), options.rabbit)
        results = asyncio.run(measure_all(places, options.rounds, options.calls))
        longhaul = places[-1]
        ingress = longhaul.pids["ingress"]
        memory = Memory(
            held=asyncio.run(per_held_call(longhaul.url, ingress)),
            queued=asyncio.run(per_queued_job(longhaul.url, ingress)),
        )
    print(report(results, memory, rabbit=options.rabbit))


if __name__ == "__main__":
    main()
