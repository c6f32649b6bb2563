"""SIGHUP: the configuration is read again, and no job is dropped."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.desk import GATED, LONGHAUL, STARTED_WITHIN, Desk
from tests.support.logbook import lines
from tests.support.processes import alive, kill_all
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


def test_one_that_is_about_to_end_begins_nothing_new(desk: Desk, mine: dict[str, str]) -> None:
    desk.run("submit", "a__work", "--json", desk.work(gate="gate"), **mine)
    wait_for(lambda: lines(desk.log))
    (router, *_) = desk.run("workers", "--json", **mine).json["workers"]
    log = desk.folder / "up.log"
    os.kill(router["pid"], signal.SIGTERM)
    wait_for(lambda: "worker.drains" in log.read_text())
    desk.configure({"b": GATE})
    os.kill(router["pid"], signal.SIGHUP)
    wait_for(lambda: "config.reloaded" in log.read_text())
    desk.gate().touch()
    wait_for(lambda: not alive(router["pid"]), seconds=20)
    assert "worker.relieved" not in log.read_text()
    assert lines(desk.log) == ["started", "finished"]


def test_one_that_still_starts_hears_it_too(desk: Desk) -> None:
    """Its configuration is a pipe: it has begun to start, and can get no further."""
    file, log = desk.folder / "pipe.yaml", desk.folder / "up.log"
    os.mkfifo(file)
    with log.open("wb") as said:
        process = subprocess.Popen(
            (*LONGHAUL, "up", "--port", "0", "--config", str(file)),
            cwd=desk.folder,
            env=desk.environment,
            stdout=said,
            stderr=said,
            start_new_session=True,  # as a service: no terminal
        )
    try:
        configuration = wait_for(lambda: opened(file), seconds=STARTED_WITHIN)
        process.send_signal(signal.SIGHUP)
        write(configuration, {"drain": 1})
        wait_for(lambda: "no backends are configured" in log.read_text())
        write(wait_for(lambda: opened(file), seconds=STARTED_WITHIN), {"drain": 2})
        wait_for(lambda: '"changed":["drain"]' in log.read_text())
        # While it still starts, a request to end ends it without ceremony.
        wait_for(lambda: "ingress.serving" in log.read_text(), seconds=STARTED_WITHIN)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        kill_all(process)


def opened(pipe: Path) -> int | None:
    """Its end to write to, once somebody reads."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def write(end: int | None, configuration: dict[str, int]) -> None:
    assert end is not None
    with os.fdopen(end, "w") as pipe:
        json.dump(configuration, pipe)
