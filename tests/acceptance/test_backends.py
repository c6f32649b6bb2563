"""What operators do about a backend, at the command line of a real router."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.errors import TOOL_GONE
from tests.support.desk import GATED, Desk
from tests.support.waiting import wait_for

WARNING = "backend.not_configured"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("desk"))
    sick = "import sys; print('no licence found', file=sys.stderr); sys.exit(3)"
    servers = {
        "b": {"command": sys.executable, "args": [str(GATED)]},
        "sick": {"command": sys.executable, "args": ["-c", sick]},
    }
    desk.configure(servers)
    with desk.router():
        wait_for(lambda: "b__work" in desk.run("tools").out, seconds=30)
        yield desk


def test_a_disabled_backend_keeps_its_jobs_waiting(desk: Desk) -> None:
    ran = desk.run("backends", "disable", "b")
    assert ran.code == 0
    assert "b gets no more calls" in ran.err
    wait_for(lambda: backend(desk, "b")["state"] == "disabled")
    assert "b is disabled by local since" in desk.run("backends", "ls").out
    job = desk.run("submit", "b__work", "--json", desk.work()).out.split()[-1]
    assert "backend b is disabled by local" in desk.run("jobs", "show", job).out
    assert desk.run("jobs", "wait", job, "--timeout", "1s").code == 5
    assert desk.run("backends", "enable", "b").code == 0
    assert desk.run("jobs", "wait", job, "--timeout", "30s").code == 0


def test_a_restart_starts_its_processes_afresh(desk: Desk) -> None:
    wait_for(lambda: backend(desk, "b")["state"] == "ready", seconds=30)
    (before,) = backend(desk, "b")["replicas"]
    assert desk.run("backends", "restart", "b").code == 0

    def restarted() -> bool:
        (now,) = backend(desk, "b")["replicas"]
        return now["state"] == "ready" and bool(now["pid"] != before["pid"])

    wait_for(restarted, seconds=30)
    (after,) = backend(desk, "b")["replicas"]
    assert after["last_error"] == "replaced: restarted by local (exit status 0)"


def test_its_stderr_is_shown(desk: Desk) -> None:
    wait_for(lambda: "no licence found" in desk.run("backends", "logs", "sick").out, seconds=30)
    found = desk.run("backends", "logs", "sick", "--lines", "1", "--json").json
    (log,) = found["logs"]
    assert len(log["lines"]) == 1
    assert log["lines"][0].endswith("no licence found")


def test_a_backend_that_a_worker_runs_is_not_forgotten(desk: Desk) -> None:
    ran = desk.run("backends", "forget", "b")
    assert (ran.code, ran.out) == (2, "")
    assert "backend b is run by worker-" in ran.err
    assert "take it out of the configuration there first" in ran.err
    assert "b__work" in desk.run("tools").out


def test_one_that_is_configured_no_longer_is_forgotten(desk_of_two: Desk) -> None:
    desk = desk_of_two
    assert backend(desk, "a")["state"] == "no worker"
    warned = [line for line in (desk.folder / "up.log").read_text().splitlines() if WARNING in line]
    assert [json.loads(line)["backend"] for line in warned] == ["a"]
    assert "longhaul backends forget a" in warned[0]
    job = desk.run("submit", "a__work", "--json", desk.work()).out.split()[-1]
    ran = desk.run("backends", "forget", "a")
    assert ran.code == 0
    assert "a is forgotten with 4 tools; 1 waiting job of it has failed." in ran.err
    shown = desk.run("jobs", "show", job, "--json").json
    assert (shown["state"], shown["error"]["code"]) == ("failed", TOOL_GONE)
    wait_for(lambda: "a__work" not in desk.run("tools").out)
    assert desk.run("call", "a__work").code == 4
    assert desk.run("backends", "forget", "a").code == 4


@pytest.fixture
def desk_of_two(tmp_path: Path) -> Iterator[Desk]:
    """A router without its backend `a`, which it had before."""
    desk = Desk(tmp_path)
    servers = {name: {"command": sys.executable, "args": [str(GATED)]} for name in ("a", "b")}
    desk.configure(servers)
    with desk.router():
        wait_for(lambda: "a__work" in desk.run("tools").out, seconds=30)
    desk.configure({"b": servers["b"]})
    with desk.router():
        wait_for(lambda: backend(desk, "b")["state"] == "ready", seconds=30)
        yield desk


def test_a_backend_that_nobody_knows_is_exit_4(desk: Desk) -> None:
    for order in ("disable", "enable", "restart", "logs", "forget"):
        ran = desk.run("backends", order, "nobody")
        assert (ran.code, ran.out) == (4, "")
        assert "no backend nobody" in ran.err


def backend(desk: Desk, name: str) -> dict[str, Any]:
    listed = desk.run("backends", "ls", "--json").json["backends"]
    found: dict[str, Any] = next(each for each in listed if each["name"] == name)
    return found
