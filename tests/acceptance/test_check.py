"""`longhaul check`: what it finds, what it says of it, and with which exit code."""

import json
import sys
from pathlib import Path

from tests.support.desk import GATED, Desk

SICK = "import sys; print('no licence found', file=sys.stderr); sys.exit(3)"


def test_it_says_what_is_there(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    backend = {"command": sys.executable, "args": [str(GATED)], "concurrency": 2}
    desk.configure({"b": backend, "sick": {"command": sys.executable, "args": ["-c", SICK]}})
    ran = desk.run_process("check", "--json")
    assert ran.code == 2
    backends = {each["name"]: each for each in ran.json["backends"]}
    assert backends["b"]["tools"] == ["work", "safe", "say", "hear"]
    assert backends["sick"]["stderr"] == "no licence found"
    assert ran.json["problems"] == [{"message": f"backend sick: {backends['sick']['error']}"}]
    settings = {row["setting"]: row["source"] for row in ran.json["settings"]}
    assert settings["mcpServers.b.concurrency"] == "longhaul.yaml:1"
    assert settings["data"] == "environment LONGHAUL_DATA"


def test_a_configuration_without_faults_is_exit_0(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.configure({"b": {"command": sys.executable, "args": [str(GATED)]}})
    ran = desk.run_process("check")
    assert ran.code == 0
    assert "All is well" in ran.out
    assert "b__work" in ran.out
    assert not (tmp_path / "data").exists()


def test_a_mistake_is_named_by_file_line_and_nearest_key(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "longhaul.yaml").write_text("mcpServers:\n  b:\n    comand: x\n")
    ran = desk.run_process("check")
    assert ran.code == 2
    assert "longhaul.yaml:3: mcpServers.b.comand: unknown key (did you mean command?)" in ran.err
    (problem,) = desk.run_process("check", "--json").json["problems"]
    assert (problem["line"], problem["nearest"]) == (3, "command")


def test_servers_that_do_not_answer_are_problems(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.configure({})
    ran = desk.run_process(
        "check",
        LONGHAUL_BROKER_URL="amqp://user:secret@127.0.0.1:9",
        LONGHAUL_STORE_URL="redis://:secret@127.0.0.1:9",
    )
    assert ran.code == 2
    assert "broker amqp://user:***@127.0.0.1:9" in ran.out
    assert "store redis://:***@127.0.0.1:9" in ran.out
    assert "secret" not in ran.out + ran.err


def test_keys_of_other_programs_are_listed_as_ignored(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    server = {"command": sys.executable, "args": [str(GATED)], "alwaysAllow": ["x"]}
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"b": server}}))
    ran = desk.run_process("check", "--json")
    assert ran.code == 0
    assert [each["key"] for each in ran.json["ignored"]] == ["mcpServers.b.alwaysAllow"]
