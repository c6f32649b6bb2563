"""What people read: results, jobs, backends and times, as text."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console, RenderableType

from longhaul.exits import Exit, exit_of
from longhaul.screen.dead import replay_counts
from longhaul.screen.fleet import backend_list, backend_logs, queue_list, tool_list
from longhaul.screen.jobs import job_card, job_list
from longhaul.screen.results import result_text
from longhaul.screen.words import ago, first_line, lasted, local_time, size, span

NOW = datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC)
JOB: dict[str, Any] = {
    "id": "01m7xr7f6hbjvzbyx03jxr",
    "tool": "exporter__export",
    "state": "running",
    "priority": 4,
    "queue": "exporter",
    "caller": "local",
    "tries": 1,
    "attempts": 3,
    "repeatable": False,
    "repeatable_from": "default",
    "replay_of": None,
    "replayed_as": None,
    "created_at": "2026-11-21T12:00:00.000Z",
    "started_at": "2026-11-21T12:00:10.000Z",
    "finished_at": None,
    "progress": {"value": 25.0, "total": 100.0, "message": "[reading]"},
    "waiting_because": None,
    "reason": "running for 20 s on box (pid 7), try 1 of 3",
    "still_running": False,
    "tool_error": False,
    "result": None,
    "error": None,
}


def text_of(renderable: RenderableType) -> str:
    console = Console(width=160, no_color=True)
    with console.capture() as captured:
        console.print(renderable)
    return captured.get()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0.0 s"),
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (12.4, "12 s"),
        (119, "119 s"),
        (180, "3 min"),
        (7_500, "2 h 5 min"),
        (5 * 86_400, "5 d"),
    ],
)
def test_spans(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_times() -> None:
    assert ago("2026-11-21T12:00:00.000Z", NOW) == "30 s ago"
    assert ago(None, NOW) == "-"
    assert lasted("2026-11-21T12:00:10Z", None, NOW) == "20 s"
    assert lasted("2026-11-21T12:00:10Z", "2026-11-21T12:00:12Z", NOW) == "2.0 s"
    assert lasted(None, None, NOW) == "-"


def test_lines_and_sizes() -> None:
    assert first_line("\n  a line \nanother") == "a line"
    assert first_line(None) == ""
    assert first_line("x" * 20, 10) == "x" * 9 + "…"
    assert [size(n) for n in (12, 12_000, 12_000_000)] == ["12 bytes", "12 kB", "11.4 MB"]


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "a\nb"),
        ({"content": [], "structuredContent": {"n": 1}}, '{\n  "n": 1\n}'),
        ({"content": [{"type": "text", "text": "a"}], "structuredContent": {"n": 1}}, "a"),
        (
            {"content": [{"type": "image", "mimeType": "image/png", "data": "A" * 400}]},
            "[image image/png, 300 bytes]",
        ),
        ({"content": [{"type": "resource_link", "uri": "file:///a"}]}, "[link file:///a]"),
        ({"content": [{"type": "resource", "resource": {"text": "inside"}}]}, "inside"),
        ({"content": [{"type": "resource", "resource": {"uri": "x:y"}}]}, "[resource x:y]"),
        ({"content": [{"type": "hologram", "data": "…"}]}, "[hologram]"),
        ({}, ""),
    ],
)
def test_results(result: dict[str, Any], text: str) -> None:
    assert result_text(result) == text


def test_a_list_of_jobs_says_the_one_thing_to_know() -> None:
    waiting = {**JOB, "state": "queued", "progress": None, "waiting_because": "behind 7 jobs"}
    failed = {**JOB, "state": "failed", "progress": None, "reason": "no route\nat all"}
    shown = text_of(job_list([JOB, waiting, failed], NOW))
    assert "25 of 100 · [reading]" in shown
    assert "behind 7 jobs" in shown
    assert "no route" in shown
    assert shown.count(JOB["id"]) == 3


def test_an_id_is_never_cut() -> None:
    console = Console(width=50, no_color=True)
    with console.capture() as captured:
        console.print(job_list([JOB], NOW))
    assert JOB["id"] in captured.get()


def test_a_card_tells_the_whole_story() -> None:
    dead = {**JOB, "state": "dead", "error": {"code": -31_002, "message": "backend [gone]"}}
    events = [{"at": "2026-11-21T12:00:00Z", "name": "handed_off", "facts": {"reason": "it [x]"}}]
    shown = text_of(job_card(dead, events, NOW))
    for words in ("1; never runs twice", "backend [gone] (-31002)", "handed off", "it [x]"):
        assert words in shown
    repeatable = text_of(job_card({**dead, "repeatable": True}, events, NOW))
    assert "1 of 3; may run again" in repeatable


def test_a_queue_nobody_works_on_stands_out() -> None:
    queue = {"name": "exports", "waiting": 3, "oldest_seconds": 90.0, "running": 0, "slots": 0}
    shown = text_of(queue_list([{**queue, "workers": 0, "ready_tokens": None}]))
    assert shown.splitlines()[1].split() == ["exports", "3", "90", "s", "0", "0", "0", "-"]


def test_a_backend_that_is_down_says_its_last_words() -> None:
    replica = {
        "host": "box",
        "state": "backoff",
        "protocol_version": None,
        "restarts": 4,
        "last_error": "exit status 3",
        "last_stderr": "no [licence]",
    }
    backend = {"name": "b", "state": "down", "tools": 0, "transport": "stdio"}
    shown = text_of(backend_list([{**backend, "replicas": [replica]}]))
    for words in ("down", "0/1", "b on box: backoff", "exit status 3", "no [licence]"):
        assert words in shown


def test_a_backend_that_takes_no_calls_says_why() -> None:
    replica = {
        "host": "box",
        "state": "ready",
        "protocol_version": "2025-11-25",
        "restarts": 0,
        "breaker": "open",
        "breaker_until": "2026-11-21T12:00:40Z",
        "breaker_why": "it went [away]",
        "failed_looks": 2,
        "look_error": "no answer within 5 s",
        "retiring": "unhealthy",
    }
    backend = {"name": "b", "state": "disabled", "tools": 1, "transport": "stdio"}
    order = {"disabled_by": "ann", "disabled_since": "2026-11-21T11:00:00Z"}
    shown = text_of(backend_list([{**backend, **order, "replicas": [replica]}]))
    for words in (
        f"b is disabled by ann since {local_time('2026-11-21T11:00:00Z')}",
        "breaker open until 2026-11-21T12:00:40Z: it went [away]",
        "2 failed looks in a row: no answer within 5 s",
        "is started again: unhealthy",
    ):
        assert words in shown


def test_the_logs_of_several_workers_are_told_apart() -> None:
    one = {"worker": "w1", "host": "box", "lines": ["7 [said]"]}
    two = {"worker": "w2", "host": "sack", "lines": None}
    shown = text_of(backend_logs([one, two])).splitlines()
    assert shown == ["w1 on box", "7 [said]", "w2 on sack", "  did not answer"]
    assert text_of(backend_logs([one])).splitlines() == ["7 [said]"]


def test_optional_arguments_stand_in_brackets() -> None:
    schema = {"properties": {"rows": {}, "format": {}}, "required": ["rows"]}
    tool = {"name": "b__t", "queue": "b", "priority": 4, "repeatable": True, "title": None}
    shown = text_of(tool_list([{**tool, "description": "Exports.", "input_schema": schema}]))
    assert "rows [format]" in shown


@pytest.mark.parametrize(
    ("state", "tool_error", "code"),
    [
        ("completed", False, Exit.DONE),
        ("completed", True, Exit.TOOL_ERROR),
        ("failed", False, Exit.TOOL_ERROR),
        ("cancelled", False, Exit.ENDED_BADLY),
        ("lost", False, Exit.ENDED_BADLY),
        ("dead", False, Exit.ENDED_BADLY),
        ("queued", False, Exit.STILL_RUNNING),
        ("running", False, Exit.STILL_RUNNING),
        ("input_required", False, Exit.STILL_RUNNING),
    ],
)
def test_exit_codes(state: str, tool_error: bool, code: Exit) -> None:
    assert exit_of(state, tool_error=tool_error) is code


def test_events_are_told_in_words_and_with_units() -> None:
    error = {"code": -31002, "message": "the backend's process ended"}
    facts = {"delay_ms": 1500, "error": error, "try": 1}
    event = {"at": "2026-11-21T12:00:12.000Z", "name": "retried", "facts": facts}
    shown = text_of(job_card(JOB, [event], NOW))
    assert "retried  delay 1.5 s, the backend's process ended (-31002), try 1" in shown


def test_replays_are_counted_apart_from_those_of_before() -> None:
    came_of: list[dict[str, Any]] = [
        {"id": "a", "job": "x", "new": True, "refused": None},
        {"id": "b", "job": "y", "new": False, "refused": None},
        {"id": "c", "job": None, "new": False, "refused": "it is lost"},
    ]
    counts = replay_counts(came_of, dry_run=False)
    assert counts == "1 replayed, 1 replayed before, 1 refused"
