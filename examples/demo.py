"""`make demo`: an agent, a router and three MCP servers, from start to end, by itself.

What is said is checked: when anything is not as shown, it ends with a message and exit code 1.
"""

import hashlib
import json
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client, MCPError
from mcp_types import CallToolResult, TextContent
from rich.live import Live

from examples.children import ROOT, Child, bare, desk, environment, router_command, started
from examples.screen import board, console, show_tools, step, told

EXPORTS = ROOT / "exports"
READY_SECONDS = 60.0
WHOLE_SECONDS = 180.0
BACKENDS = ("desk", "exporter", "time")
EXPORT = "exporter__export_rows"
ROWS_PER_SECOND = 700  # 8,000 orders: a little over eleven seconds
TERMINAL = ("completed", "failed", "cancelled", "dead", "lost")


class NotAsShownError(Exception):
    """The demo claimed something that did not happen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A job of the priority scene."""

    label: str
    site: str
    priority: int


def require(fact: bool, otherwise: str) -> None:
    if not fact:
        raise NotAsShownError(otherwise)


def structured(result: CallToolResult) -> dict[str, Any]:
    said = " ".join(block.text for block in result.content if isinstance(block, TextContent))
    require(not result.is_error, f"a tool answered with an error: {said}")
    content = result.structured_content
    if isinstance(content, dict):
        return content
    return dict(json.loads(said))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def until_ready(base: str, router: Child) -> None:
    """Return when the router is ready and lists tools of every server."""
    async with httpx2.AsyncClient(base_url=base) as http:
        with anyio.move_on_after(READY_SECONDS):
            while True:
                require(router.poll() is None, f"the router ended with {router.returncode}")
                try:
                    if (await http.get("/readyz")).status_code == 200 and await has_all(base):
                        return
                except httpx2.HTTPError:
                    pass  # it is not listening yet
                await anyio.sleep(0.1)
    raise NotAsShownError(f"the router was not ready within {READY_SECONDS:.0f} s")


async def has_all(base: str) -> bool:
    async with Client(f"{base}/mcp", cache=None) as client:
        names = {tool.name.partition("__")[0] for tool in (await client.list_tools()).tools}
    return names >= set(BACKENDS)


async def quick_calls(client: Client) -> None:
    """One over stdio and one over HTTP; the client sees no difference."""
    for tool, arguments, field in (
        ("time__get_current_time", {"timezone": "Europe/Vienna"}, "datetime"),
        ("desk__convert_units", {"value": 26.2, "unit": "mi", "to": "km"}, "value"),
    ):
        began = time.monotonic()
        answer = structured(await client.call_tool(tool, arguments))
        took = (time.monotonic() - began) * 1000
        require(field in answer, f"{tool} answered something else: {answer}")
        console.print(f"{tool}: [bold]{answer[field]}[/] [dim]in {took:.0f} ms[/]")


async def long_export(client: Client) -> None:
    arguments = {"dataset": "orders", "rows_per_second": ROWS_PER_SECOND}
    began = time.monotonic()
    with told() as progress:
        result = await client.call_tool(EXPORT, arguments, progress_callback=progress)
    took = time.monotonic() - began
    export = structured(result)
    path = Path(export["path"])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()  # noqa: ASYNC240 - half a megabyte
    require(digest == export["sha256"], f"{path} is not what the exporter says it wrote")
    require(took >= 10, f"the export took only {took:.1f} s")
    values = progress.values
    require(len(values) >= 10, f"only {len(values)} signs of progress arrived")
    require(values == sorted(set(values)), "progress did not strictly increase")
    console.print(
        f"{export['rows']:,} rows, {export['bytes']:,} bytes in [bold]{path.relative_to(ROOT)}[/] "
        f"[dim]in {took:.1f} s, checksum verified, {len(values)} signs of progress[/]"
    )


ORDERS = (
    Order(label="first, takes the slot", site="harbour", priority=4),
    Order(label="second, in no hurry", site="ridge", priority=2),
    Order(label="third, urgent", site="orchard", priority=8),
)


LABELS = [order.label for order in ORDERS]


async def submit(http: httpx2.AsyncClient, order: Order) -> str:
    body = {
        "tool": EXPORT,
        "arguments": {
            "dataset": "readings",
            "format": "jsonl",
            "where": {"site": order.site},
            "rows_per_second": 600,
        },
        "priority": order.priority,
    }
    answer = await http.post("/v1/jobs", json=body)
    require(answer.is_success, f"POST /v1/jobs: {answer.status_code} {answer.text}")
    return str(answer.json()["id"])


async def look(http: httpx2.AsyncClient, job: str) -> dict[str, Any]:
    answer = await http.get(f"/v1/jobs/{job}")
    require(answer.is_success, f"GET /v1/jobs/{job}: {answer.status_code} {answer.text}")
    return dict(answer.json())


async def until_state(http: httpx2.AsyncClient, job: str, state: str) -> None:
    while (seen := await look(http, job))["state"] != state:
        require(seen["state"] not in TERMINAL, f"job {job} is {seen['state']}, not {state}")
        await anyio.sleep(0.05)


async def priorities(base: str) -> None:
    async with httpx2.AsyncClient(base_url=base) as http:
        ids = [await submit(http, ORDERS[0])]
        await until_state(http, ids[0], "running")
        ids += [await submit(http, order) for order in ORDERS[1:]]
        jobs = [await look(http, job) for job in ids]
        with Live(board(LABELS, jobs), console=console, auto_refresh=False) as live:
            while not all(job["state"] in TERMINAL for job in jobs):
                await anyio.sleep(0.2)
                jobs = [await look(http, job) for job in ids]
                live.update(board(LABELS, jobs), refresh=console.is_terminal)
    console.print()
    for job in jobs:
        require(job["state"] == "completed", f"job {job['id']} is {job['state']}")
    by_start = sorted(zip(ORDERS, jobs, strict=True), key=lambda pair: pair[1]["started_at"])
    order = [each.priority for each, _ in by_start]
    console.print(f"They started in the order of priority [bold]{', '.join(map(str, order))}[/].")
    require(order == [4, 8, 2], "the urgent export did not overtake the one in no hurry")


async def tour(base: str, router: Child) -> None:
    began = time.monotonic()
    await until_ready(base, router)
    console.print(f"ready at {base} [dim]after {time.monotonic() - began:.1f} s[/]")
    async with Client(f"{base}/mcp") as client:
        tools = (await client.list_tools()).tools
        step(f"An MCP client connects and finds {len(tools)} tools of {len(BACKENDS)} servers")
        show_tools(tools)
        step("Quick tools answer at once")
        await quick_calls(client)
        step("A slow tool exports rows; its progress streams back")
        await long_export(client)
    step("One slot, three exports: the urgent one does not wait its turn")
    await priorities(base)


def farewell() -> None:
    console.print(f"\n[green]All as shown.[/] The files are in {EXPORTS.name}/.")
    console.print(
        "To connect an agent, leave the same router running with [bold]make up[/] and give the "
        "agent\n  [bold]http://127.0.0.1:8080/mcp[/]"
    )


async def tour_in_time(base: str, router: Child) -> None:
    with anyio.move_on_after(WHOLE_SECONDS):
        await tour(base, router)
        return
    raise NotAsShownError(f"it took longer than {WHOLE_SECONDS:.0f} s")


def first_cause(trouble: BaseException) -> BaseException:
    while isinstance(trouble, BaseExceptionGroup):
        trouble = trouble.exceptions[0]
    return trouble


def show(folder: Path, url: str) -> None:
    """Run the tour against a router of its own; raises NotAsShownError with what it said last."""
    log = folder / "longhaul.log"
    port = free_port()
    env = bare(environment(url, {"DEMO_EXPORTS": str(EXPORTS)}))
    env["LONGHAUL_DATA"] = str(folder / "data")
    with log.open("w") as output:
        command = router_command("--port", str(port))
        with started(command, env=env, stdout=output, stderr=output) as router:
            try:
                anyio.run(tour_in_time, f"http://127.0.0.1:{port}", router)
            except* (NotAsShownError, MCPError, httpx2.HTTPError, OSError) as group:
                said = log.read_text()[-2000:]
                cause = first_cause(group)
                raise NotAsShownError(f"{cause}\n\nThe router said last:\n{said}") from cause


def main() -> int:
    console.print("[bold]Longhaul[/] makes slow MCP tools durable. This takes about 40 seconds.")
    step("Longhaul starts, with everything in one process, and three MCP servers")
    try:
        with tempfile.TemporaryDirectory(prefix="longhaul-demo-") as folder, desk() as url:
            show(Path(folder), url)
    except* (NotAsShownError, OSError) as group:
        console.print("\n[bold red]Not as shown:[/]", end=" ")
        console.print(str(first_cause(group)), markup=False)
        return_code = 1
    else:
        farewell()
        return_code = 0
    return return_code


if __name__ == "__main__":
    sys.exit(main())
