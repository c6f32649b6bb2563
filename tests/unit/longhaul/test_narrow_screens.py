"""What people read on a terminal of 80 columns: names and ids are whole, however long the rest."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console, RenderableType

from longhaul.drill.verdict import Verdict
from longhaul.screen.batches import batch_list
from longhaul.screen.callbacks import callback_list
from longhaul.screen.dead import letter_groups, letter_list
from longhaul.screen.documents import document_list
from longhaul.screen.drill import drill_table
from longhaul.screen.fleet import backend_list, queue_list, tool_list, worker_list
from longhaul.screen.jobs import job_card, job_list
from longhaul.screen.keys import key_list
from longhaul.screen.sheet import sheet

WIDTH = 80
NOW = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
THEN = "2026-11-21T12:00:00.000Z"
ID = "01m7xr7f6hbjvzbyx03jxr"
TOOL = "exporter__export_rows_of_a_data_set"
WHY = "scheduled for 2026-12-31 23:00:00 UTC, in 40 d; the queue exports is paused by ann"
HASH = "0b4e7f9d20a0d2db8defbec64bbd9c9b30a7362c6dbb65e0de8399edbd33db7b"

JOB: dict[str, Any] = {
    "id": ID,
    "tool": TOOL,
    "state": "input_required",
    "priority": 4,
    "created_at": THEN,
    "started_at": THEN,
    "finished_at": THEN,
    "progress": None,
    "tool_error": False,
    "waiting_because": WHY,
    "callback": {
        "url": "https://hooks.example.com/longhaul/of/the/whole/team?channel=exports",
        "state": "failed",
        "tries": 15,
        "last_error": "503 Service Unavailable",
    },
}
CARD: dict[str, Any] = {"reason": WHY, "queue": "exports", "caller": "ann", "tries": 1} | {
    "attempts": 3,
    "repeatable": False,
    "repeatable_from": "default",
    "replay_of": None,
    "replayed_as": None,
    "error": None,
}
BATCH = {"id": ID, "tool": TOOL, "state": "running", "rows": 1_000_000, "rate": 410.4} | {
    "counts": {"completed": 400_000, "failed": 12},
    "ends_in": 1460.0,
    "created_at": THEN,
}
LETTER = {"id": ID, "kind": "lost", "tool": TOOL, "caller": "ann", "tries": 3, "died_at": THEN} | {
    "replayed_as": None,
    "error": WHY,
}
GROUP = {"count": 12, "kind": "lost", "tool": TOOL, "last_at": THEN, "error": WHY, "letters": [ID]}
DOCUMENT = {"name": "a letter of November to everybody.txt", "size": 11_000, "owner": "ann"} | {
    "sha256": HASH,
    "content_type": "application/vnd.oasis.opendocument.text",
    "visibility": "everyone",
    "created_at": THEN,
    "expires_at": "2026-11-28T12:00:00.000Z",
}
ARGUMENTS = ["dataset", "format", "where", "copies", "rows_per_second", "destination"]
LISTED = {"name": TOOL, "queue": "exports-at-night", "priority": 4, "repeatable": False} | {
    "title": None,
    "description": "Export a data set's rows to a file; a long one tells how far it is.",
    "input_schema": {"properties": dict.fromkeys(ARGUMENTS), "required": ARGUMENTS},
}
QUEUE = {"name": "exports-of-whole-data-sets-at-night", "oldest_seconds": 90.0, "running": 4} | {
    "waiting": 123_456,
    "slots": 4,
    "workers": 2,
    "ready_tokens": 123_450,
    "paused_since": THEN,
}
WORKER = {"id": "worker-eu-west-1-box-12345-0ff22c", "host": "eu-west-1-box", "pid": 12_345} | {
    "started_at": THEN,
    "draining": True,
    "queues": {"exports-at-night": {"busy": 1, "slots": 4}, "reads": {"busy": 0, "slots": 4}},
    "backends": {"exporter": "2/2 ready", "archive-of-the-north": "1/2 ready"},
    "version": "0.1.0",
}
BACKEND = {"name": "archive-of-the-whole-north-and-east", "state": "breaker open", "tools": 7} | {
    "transport": "http",
    "replicas": [
        {"host": "box", "state": "ready", "protocol_version": "2026-07-28", "restarts": 4},
    ],
}
KEY = {"name": "continuous-integration-of-the-north", "caller": "ci", "role": "operator"} | {
    "prefix": "lh_4f2a9c",
    "created_at": THEN,
    "expires_at": None,
    "expired": False,
}
VERDICT = Verdict(
    scenario="kill the worker that runs most of them",
    jobs=20,
    refused=0,
    completed=20,
    unknown=0,
    failed=0,
    lost=(),
    twice=(),
    uncounted=(),
    first=1.0,
    all=12.5,
)

LISTS: dict[str, tuple[Callable[[], RenderableType], tuple[str, ...]]] = {
    "jobs": (lambda: job_list([JOB], NOW), (ID, TOOL, "input_required")),
    "batches": (lambda: batch_list([BATCH], NOW), (ID, TOOL, "1,000,000", "12 failed")),
    "dead": (lambda: letter_list([LETTER], NOW), (ID, TOOL, "lost", "ann")),
    "dead groups": (lambda: letter_groups([GROUP], NOW), (ID, TOOL, "lost")),
    "callbacks": (lambda: callback_list([JOB], NOW), (ID, "input_required", "up after 15 tries")),
    "documents": (
        lambda: document_list([DOCUMENT], NOW),
        (str(DOCUMENT["name"]), HASH[:12], "11 kB", "ann", str(DOCUMENT["content_type"])),
    ),
    "tools": (lambda: tool_list([LISTED]), (TOOL, "exports-at-night", "no", "destination")),
    "queues": (lambda: queue_list([QUEUE]), (f"{QUEUE['name']} (paused)", "123456", "123450")),
    "workers": (
        lambda: worker_list([WORKER], NOW),
        (str(WORKER["id"]), "12345", "stopping", "archive-of-the-north"),
    ),
    "backends": (lambda: backend_list([BACKEND]), (str(BACKEND["name"]), "breaker open", "1/1")),
    "keys": (lambda: key_list([KEY], NOW), (str(KEY["name"]), "operator", "lh_4f2a9c", "never")),
    "drill": (lambda: drill_table([VERDICT]), (VERDICT.scenario, "20", "1.0 s", "12.5 s")),
}


def lines_of(shown: RenderableType, width: int = WIDTH) -> list[str]:
    console = Console(width=width, no_color=True)
    with console.capture() as captured:
        console.print(shown)
    return captured.get().splitlines()


@pytest.mark.parametrize("name", LISTS)
def test_names_ids_and_states_are_whole_on_a_narrow_terminal(name: str) -> None:
    make, whole = LISTS[name]
    lines = lines_of(make())
    assert max(map(len, lines)) <= WIDTH, lines
    for words in whole:
        assert any(words in line for line in lines), (words, lines)
    assert len(lines) <= 7, lines


def test_the_events_of_a_job_are_told_with_the_whole_time() -> None:
    facts = {"reason": WHY, "on": "eu-west-1-box", "because": WHY}
    event = {"at": THEN, "name": "answered_by_somebody", "facts": facts}
    lines = lines_of(job_card(JOB | CARD, [event], NOW))
    [line] = [line for line in lines if "answered by somebody" in line]
    assert re.match(r"  \d\d:\d\d:00\.000  answered by somebody  reason scheduled", line)


def test_a_broad_terminal_has_a_line_for_each_job() -> None:
    assert len(lines_of(job_list([JOB, JOB], NOW), 200)) == 3


def test_free_text_gives_way_first_and_stands_beneath_its_own_row() -> None:
    shown = sheet("NAME:whole", "WHY", "COUNT:number")
    shown.add_row("a", "because it is a rainy day", "1")
    shown.add_row("b", "", "22")
    assert lines_of(shown, 20) == [
        "NAME  COUNT",
        "  WHY",
        "a         1",
        "  because it is a",
        "  rainy day",
        "b        22",
    ]


def test_only_the_names_that_are_too_long_stand_alone() -> None:
    shown = sheet("NAME:whole", "COUNT:number", "SIZE:number")
    shown.add_row("short", "1", "2")
    shown.add_row("a-rather-long-name", "1", "2")
    assert lines_of(shown, 24) == [
        "NAME         COUNT  SIZE",
        "short            1     2",
        "a-rather-long-name",
        "                 1     2",
    ]


def test_a_line_is_cut_and_says_so_and_a_wrapped_cell_is_not() -> None:
    for how, lines in (("line", 1), ("wrap", 2)):
        shown = sheet("NAME:whole", f"WORDS:{how}", headed=False)
        shown.add_row("name", "one two three four five six seven")
        told = lines_of(shown, 30)
        assert len(told) == lines
        assert ("…" in told[0]) is (how == "line")
