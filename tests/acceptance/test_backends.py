"""What operators do about a backend, at the command line of a real router."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.desk import GATED, Desk
from tests.support.waiting import wait_for


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


def test_a_backend_that_nobody_knows_is_exit_4(desk: Desk) -> None:
    for order in ("disable", "enable", "restart", "logs"):
        ran = desk.run("backends", order, "nobody")
        assert (ran.code, ran.out) == (4, "")
        assert "no backend nobody" in ran.err


def backend(desk: Desk, name: str) -> dict[str, Any]:
    listed = desk.run("backends", "ls", "--json").json["backends"]
    found: dict[str, Any] = next(each for each in listed if each["name"] == name)
    return found
