"""Dead letters on the screen. Pure: JSON of the REST interface in, renderables out."""

import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from longhaul.screen.jobs import tries_words
from longhaul.screen.output import facts_table, indented
from longhaul.screen.sheet import Cell, Sheet, sheet
from longhaul.screen.words import STATE_STYLE, ago, first_line, local_time, moment, span

Json = Mapping[str, Any]

RAW_SHOWN = 2_000  # bytes


def letter_groups(groups: Sequence[Json], now: datetime) -> Sheet:
    shown = sheet(
        "COUNT:number", "KIND:whole", "TOOL:whole", "NEWEST:whole", "ERROR", "FOR EXAMPLE:whole"
    )
    for group in groups:
        shown.add_row(
            str(group["count"]),
            _kind(group["kind"]),
            group["tool"] or "-",
            ago(group["last_at"], now),
            Text(first_line(group["error"])),
            Text(group["letters"][0], style="dim"),
        )
    return shown


def letter_list(letters: Sequence[Json], now: datetime) -> Sheet:
    shown = sheet(
        "ID:whole", "KIND:whole", "TOOL:whole", "CALLER", "TRIES:number", "DIED:whole", "ERROR"
    )
    for letter in letters:
        replayed = letter["replayed_as"]
        remark = f"replayed as {replayed}; " if replayed else ""
        shown.add_row(
            letter["id"],
            _kind(letter["kind"]),
            letter["tool"] or "-",
            letter["caller"] or "-",
            str(letter["tries"]),
            ago(letter["died_at"], now),
            Text(remark + first_line(letter["error"])),
        )
    return shown


def letter_card(letter: Json, now: datetime) -> RenderableType:
    title = Text.assemble(
        (letter["id"], "bold"), "  ", _kind(letter["kind"]), "  ", letter["tool"] or "no job"
    )
    parts: list[RenderableType] = [title, facts_table(_facts(letter, now))]
    if letter["arguments"] is not None:
        parts += _section("Arguments", Text(json.dumps(letter["arguments"], indent=2)))
    if letter["history"]:
        title_of = "Tries" if letter["history_complete"] else "Tries (earlier ones are not kept)"
        parts += _section(title_of, _history(letter["history"]))
    if letter["raw"] is not None:
        raw = b64decode(letter["raw"])
        more = f"\n… {len(raw)} bytes in all" if len(raw) > RAW_SHOWN else ""
        parts += _section("Bytes", Text(repr(raw[:RAW_SHOWN])[2:-1] + more))
    return Group(*parts, Text(""), Text(_advice(letter), style="dim"))


def replay_list(came_of: Sequence[Json], *, dry_run: bool) -> Sheet:
    shown = sheet("LETTER:whole", "JOB:whole", "")
    for each in came_of:
        if each["refused"]:
            words = Text(each["refused"], style="yellow")
        elif each["job"] and not each["new"]:
            words = Text("had been replayed already; nothing new was started", style="dim")
        else:
            words = Text("would be replayed" if dry_run else "", style="dim")
        shown.add_row(each["id"], each["job"] or "-", words)
    return shown


def replay_counts(came_of: Sequence[Json], *, dry_run: bool) -> str:
    """What became of them, in numbers."""
    refused = sum(1 for each in came_of if each["refused"])
    before = sum(1 for each in came_of if each["job"] and not each["new"])
    done = len(came_of) - refused - before
    earlier = f", {before} replayed before" if before else ""
    return f"{done} {'would be ' if dry_run else ''}replayed{earlier}, {refused} refused"


def _kind(kind: str) -> Text:
    return Text(kind, style=STATE_STYLE.get(kind, "bold red"))


def _facts(letter: Json, now: datetime) -> list[tuple[str, Cell]]:
    facts: list[tuple[str, Cell]] = [
        ("why", Text(letter["error"])),
        ("queue", letter["queue"]),
        ("caller", letter["caller"] or "-"),
    ]
    if letter["attempts"] is not None:
        facts.append(("tries", tries_words(letter)))
    facts += [
        ("created", f"{local_time(letter['created_at'])}  ({ago(letter['created_at'], now)})"),
        ("died", f"{local_time(letter['died_at'])}  ({ago(letter['died_at'], now)})"),
        ("replay of", letter["replay_of"] or "-"),
        ("replayed as", letter["replayed_as"] or "-"),
    ]
    if letter["job_error"]:
        facts.append(("error code", Text(f"{letter['job_error']['code']}", "red")))
    return [(name, value) for name, value in facts if value != "-"]


def _history(tries: Sequence[Json]) -> Sheet:
    shown = sheet("STARTED:whole", "RAN:number", "ENDED:whole", "WORKER:whole", "WHY")
    for each in tries:
        began = moment(each["started_at"])
        ran = (
            "-"
            if each["ended_at"] is None
            else span((moment(each["ended_at"]) - began).total_seconds())
        )
        error = each["error"]
        why = f"{error['message']} ({error['code']})" if error else each["why"]
        shown.add_row(
            local_time(each["started_at"]),
            ran,
            each["ended"].replace("_", " ") or "-",
            each["worker"],
            Text(why),
        )
    return shown


def _section(title: str, body: RenderableType) -> list[RenderableType]:
    return [Text(""), Text(title, style="dim"), indented(body)]


def _advice(letter: Json) -> str:
    """What a person may do about it now."""
    drop = f"longhaul dead drop {letter['id']}"
    if letter["replayed_as"]:
        return f"It was replayed: longhaul jobs show {letter['replayed_as']}"
    if letter["kind"] == "token":
        return f"There is nothing to run: {drop}"
    if letter["kind"] == "lost":
        return (
            "Its tool may have run: look whether it did. "
            f"Again: longhaul dead replay {letter['id']} --lost. Never: {drop}"
        )
    return f"Again: longhaul dead replay {letter['id']}. Never: {drop}"
