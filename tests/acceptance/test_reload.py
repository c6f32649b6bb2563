"""SIGHUP: the configuration is read again, and no job is dropped."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.desk import GATED, Desk
from tests.support.logbook import lines
from tests.support.waiting import wait_for

GATE = {"command": sys.executable, "args": [str(GATED)]}
KEY = "LONGHAUL_API_KEY"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.configure({"a": GATE})
    (tmp_path / "keys").write_text("ann=first-key")
    return desk


@pytest.fixture
def mine(desk: Desk) -> Iterator[dict[str, str]]:
    """`longhaul up` with a file of keys; how a command reaches it."""
    keys = {"LONGHAUL_API_KEY_FILE": str(desk.folder / "keys")}
    with desk.role("up", "--port", "0", **keys) as face:
        reached = {"LONGHAUL_URL": face["address"], KEY: "first-key"}
        wait_for(lambda: "a__work" in desk.run("tools", **reached).out, seconds=30)
        yield reached


def hang_up(desk: Desk, mine: dict[str, str], event: str) -> str:
    """What the router logs about it, from then on."""
    log = desk.folder / "up.log"
    before = len(log.read_text())
    (worker, *_) = desk.run("workers", "--json", **mine).json["workers"]
    os.kill(worker["pid"], signal.SIGHUP)
    wait_for(lambda: event in log.read_text()[before:])
    return log.read_text()[before:]


def test_backends_come_and_go_and_what_runs_ends_where_it_began(
    desk: Desk, mine: dict[str, str]
) -> None:
    submitted = desk.run("submit", "a__work", "--json", desk.work(gate="gate"), **mine)
    job = submitted.out.split()[-1]
    wait_for(lambda: lines(desk.log))
    desk.configure({"b": GATE}, tools={"b__work": {"priority": 8}})
    hang_up(desk, mine, "worker.drains")
    wait_for(lambda: "b__work" in desk.run("tools", **mine).out, seconds=30)
    done = desk.run("call", "b__work", "--json", desk.work(), **mine)
    assert done.code == 0, done.err
    assert desk.run("jobs", "show", job, "--json", **mine).json["state"] == "running"
    tools = desk.run("tools", "--json", **mine).json["tools"]
    assert {each["priority"] for each in tools if each["name"] == "b__work"} == {8}
    desk.gate().touch()
    assert desk.run("jobs", "wait", job, "--timeout", "20s", **mine).code == 0
    assert sum("started" in line for line in lines(desk.log)) == 2, "each ran once"

    def alone() -> bool:
        return len(desk.run("workers", "--json", **mine).json["workers"]) == 1

    wait_for(alone, seconds=20)
    gone = desk.run("backends", "forget", "a", **mine)
    assert gone.code == 0, gone.err


def test_keys_change_and_a_broken_file_changes_nothing(desk: Desk, mine: dict[str, str]) -> None:
    (desk.folder / "keys").write_text("ann=second-key")
    hang_up(desk, mine, "config.reloaded")
    assert desk.run("tools", **mine).code == 2
    mine[KEY] = "second-key"
    assert desk.run("tools", **mine).code == 0
    (desk.folder / "keys").write_text("ann=third-key")
    file = desk.folder / "longhaul.yaml"
    file.write_text(file.read_text().replace("mcpServers", "mcpServer"))
    said = hang_up(desk, mine, "config.not_reloaded")
    assert "longhaul.yaml:1" in said
    assert "nothing has changed" in said
    assert desk.run("tools", **mine).code == 0, "the key of before still holds"
