"""Jobs on the screen. Pure: JSON of the REST interface in, renderables out."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from longhaul.screen.callbacks import callback_words
from longhaul.screen.output import facts_table, indented
from longhaul.screen.sheet import Cell, Sheet, sheet
from longhaul.screen.words import STATE_STYLE, ago, first_line, lasted, local_time, moment

Json = Mapping[str, Any]

_WHO_SAYS = {
    "operator": "the configuration says so",
    "annotations": "its trusted server says so",
    "default": "nobody says that it may",
}


def state_text(state: str) -> Text:
    return Text(state, style=STATE_STYLE.get(state, ""))


def job_list(jobs: Sequence[Json], now: datetime) -> Sheet:
    shown = sheet(
        "ID:whole", "TOOL", "STATE:whole", "PRI:number", "CREATED:whole", "RAN:number", ""
    )
    for job in jobs:
        shown.add_row(
            job["id"],
            job["tool"],
            state_text(job["state"]),
            str(job["priority"]),
            ago(job["created_at"], now),
            lasted(job["started_at"], job["finished_at"], now),
            Text(_remark(job), style="dim"),
        )
    return shown


def _remark(job: Json) -> str:
    """The one thing to know about it."""
    if job["state"] == "running" and job["progress"]:
        return progress_words(job["progress"])
    if job["state"] == "completed":
        return "the tool reported an error" if job["tool_error"] else ""
    return first_line(job["waiting_because"] or job["reason"])


def progress_words(progress: Json) -> str:
    value, total = progress["value"], progress["total"]
    amount = f"{value:g}" if total is None else f"{value:g} of {total:g}"
    return " · ".join(part for part in (amount, first_line(progress["message"], 60)) if part)


def checkpoint_words(checkpoint: Json, now: datetime) -> str:
    return f"{ago(checkpoint['at'], now)}, {checkpoint['bytes']:,} bytes"


def job_card(job: Json, events: Sequence[Json], now: datetime) -> RenderableType:
    title = Text.assemble((job["id"], "bold"), "  ", state_text(job["state"]), "  ", job["tool"])
    return Group(title, facts_table(_facts(job, now)), *_history(events))


def tries_words(job: Json) -> str:
    """How often it has run, whether it may again, and who says so."""
    who = _WHO_SAYS.get(job["repeatable_from"], job["repeatable_from"])
    if job["repeatable"]:
        return f"{job['tries']} of {job['attempts']}; may run again when its worker dies ({who})"
    return f"{job['tries']}; never runs twice ({who})"


def _facts(job: Json, now: datetime) -> list[tuple[str, Cell]]:
    facts: list[tuple[str, Cell]] = [
        ("why", Text(job["reason"])),
        ("queue", f"{job['queue']}, priority {job['priority']}"),
        ("caller", job["caller"]),
        ("tries", tries_words(job)),
        ("created", f"{local_time(job['created_at'])}  ({ago(job['created_at'], now)})"),
        ("started", local_time(job["started_at"])),
        ("finished", local_time(job["finished_at"])),
        ("ran for", lasted(job["started_at"], job["finished_at"], now)),
    ]
    for name, key in (("replay of", "replay_of"), ("replayed as", "replayed_as")):
        if job[key]:
            facts.append((name, job[key]))
    if job["progress"]:
        facts.append(("progress", Text(progress_words(job["progress"]))))
    if checkpoint := job.get("checkpoint"):
        facts.append(("checkpoint", checkpoint_words(checkpoint, now)))
    if job.get("files"):
        facts.append(("files", str(job["files"])))
    if job.get("callback"):
        facts.append(("callback", Text(callback_words(job["callback"]))))
    if job["error"]:
        facts.append(("error", Text(f"{job['error']['message']} ({job['error']['code']})", "red")))
    return [(name, value) for name, value in facts if value not in ("-", "")]


def _fact(name: str, value: Any) -> str:
    if name == "error" and isinstance(value, Mapping):
        return f"{value['message']} ({value['code']})"
    if name.endswith("_ms"):
        return f"{name.removesuffix('_ms')} {value / 1000:g} s"
    return f"{name} {value}"


def _history(events: Sequence[Json]) -> list[RenderableType]:
    if not events:
        return []
    shown = sheet(":whole", ":whole", ":wrap", headed=False)
    for event in events:
        at = moment(event["at"]).astimezone().strftime("%H:%M:%S.%f")[:-3]
        facts = ", ".join(_fact(name, value) for name, value in event["facts"].items())
        shown.add_row(at, event["name"].replace("_", " "), Text(first_line(facts), style="dim"))
    return [
        Text(""),
        Text("What happened", style="dim"),
        indented(shown),
    ]
