"""Tools, queues, workers and backends on the screen. Pure: JSON in, renderables out."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from longhaul.screen.output import indented
from longhaul.screen.sheet import Sheet, sheet
from longhaul.screen.words import BACKEND_STYLE, ago, first_line, local_time, span

Json = Mapping[str, Any]


def tool_list(tools: Sequence[Json]) -> Sheet:
    shown = sheet("TOOL:whole", "ARGUMENTS", "QUEUE:whole", "PRI:number", "AGAIN:whole", ":line")
    for tool in tools:
        shown.add_row(
            tool["name"],
            Text(_arguments(tool["input_schema"])),
            tool["queue"],
            str(tool["priority"]),
            "yes" if tool["repeatable"] else "no",
            Text(first_line(tool["title"] or tool["description"], 60), style="dim"),
        )
    return shown


def _arguments(schema: Json) -> str:
    required = set(schema.get("required") or ())
    names = schema.get("properties") or {}
    return " ".join(name if name in required else f"[{name}]" for name in names)


def queue_list(queues: Sequence[Json]) -> Sheet:
    shown = sheet(
        *("QUEUE:whole", "WAITING:number", "OLDEST:number", "BUSY:number", "SLOTS:number"),
        *("WORKERS:number", "TOKENS:number"),
    )
    for queue in queues:
        oldest = queue["oldest_seconds"]
        stuck = queue["waiting"] and not queue["workers"]
        shown.add_row(
            Text(queue["name"] + (" (paused)" if queue.get("paused_since") else "")),
            Text(str(queue["waiting"]), style="bold" if queue["waiting"] else "dim"),
            "-" if oldest is None else span(oldest),
            str(queue["running"]),
            str(queue["slots"]),
            Text(str(queue["workers"]), style="bold red" if stuck else ""),
            "-" if queue["ready_tokens"] is None else str(queue["ready_tokens"]),
        )
    return shown


def worker_list(workers: Sequence[Json], now: datetime) -> Sheet:
    shown = sheet("WORKER:whole", "HOST", "PID:number", "UP:whole", "QUEUES", "BACKENDS", "VERSION")
    for worker in workers:
        queues = (f"{name} {q['busy']}/{q['slots']}" for name, q in worker["queues"].items())
        backends = (f"{name} {ready}" for name, ready in worker["backends"].items())
        shown.add_row(
            worker["id"],
            worker["host"],
            str(worker["pid"]),
            ago(worker["started_at"], now).removesuffix(" ago")
            + (", stopping" if worker.get("draining") else ""),
            ", ".join(queues),
            ", ".join(backends),
            worker["version"],
        )
    return shown


def backend_list(backends: Sequence[Json]) -> RenderableType:
    shown = sheet(
        "BACKEND:whole",
        "STATE:whole",
        "TOOLS:number",
        "REPLICAS:number",
        "TRANSPORT:whole",
        "PROTOCOL:whole",
        "RESTARTS:number",
    )
    complaints: list[RenderableType] = []
    for backend in backends:
        replicas = backend["replicas"]
        ready = sum(1 for replica in replicas if replica["state"] == "ready")
        shown.add_row(
            backend["name"],
            Text(backend["state"], style=BACKEND_STYLE.get(backend["state"], "")),
            str(backend["tools"]),
            f"{ready}/{len(replicas)}",
            backend["transport"] or "-",
            ", ".join(sorted({r["protocol_version"] or "-" for r in replicas})) or "-",
            str(sum(replica["restarts"] for replica in replicas)),
        )
        complaints += _complaints(backend)
    return Group(shown, *complaints)


def _complaints(backend: Json) -> list[RenderableType]:
    """Why replicas take no calls, and what those that are not up said last."""
    said: list[RenderableType] = []
    if backend.get("disabled_by"):
        since = local_time(backend["disabled_since"])
        words = f"{backend['name']} is disabled by {backend['disabled_by']} since {since}"
        said.append(Text(f"\n{words}; `longhaul backends enable` sends it calls again"))
    for replica in backend["replicas"]:
        lines = list(dict.fromkeys(_ails(replica)))
        if replica["state"] == "ready" and not lines:
            continue
        name = f"{backend['name']} on {replica['host']}: {replica['state']}"
        body = Text("\n".join(lines) or "nothing said yet", style="dim")
        said += [Text(f"\n{name}", style="yellow"), indented(body)]
    return said


def _ails(replica: Json) -> Iterator[str]:
    if replica["state"] != "ready":
        yield from (line for line in (replica["last_error"], replica["last_stderr"]) if line)
    if replica.get("breaker", "closed") != "closed":
        until = f" until {replica['breaker_until']}" if replica["breaker_until"] else ""
        yield f"breaker {replica['breaker']}{until}: {replica['breaker_why']}"
    if replica.get("look_error"):
        yield f"{replica['failed_looks']} failed looks in a row: {replica['look_error']}"
    if replica.get("retiring"):
        yield f"takes no more calls and is started again: {replica['retiring']}"


def backend_logs(logs: Sequence[Json]) -> RenderableType:
    """What each worker keeps; its name stands above where there are several."""
    shown: list[RenderableType] = []
    for each in logs:
        if len(logs) > 1 or each["lines"] is None:
            shown.append(Text(f"{each['worker']} on {each['host']}", style="yellow"))
        if each["lines"] is None:
            shown.append(Text("  did not answer", style="dim"))
        else:
            shown += [Text(line) for line in each["lines"]]
    return Group(*shown)
