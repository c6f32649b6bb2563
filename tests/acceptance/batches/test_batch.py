"""`longhaul batch` as a person uses it: a file of rows in, a file of results out, and no loss."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.batch_files import id_of, labelled, mixed, results, rows_of, starts, write
from tests.support.desk import LONGHAUL, Desk
from tests.support.waiting import wait_for


def test_a_file_in_and_a_file_out(desk: Desk, tmp_path: Path, log: Path, out: Path) -> None:
    rows = write(tmp_path / "rows.jsonl", *labelled(log, 20))
    ran = desk.run("batch", "b__work", rows, "--out", str(out))
    assert (ran.code, ran.out) == (0, "")
    assert rows_of(out) == list(range(1, 21))
    assert {result["state"] for result in results(out)} == {"completed"}
    assert all(result["result"]["content"][0]["text"] for result in results(out))
    batch = id_of(out)
    assert f"batch {batch}: 20 rows for b__work" in ran.err
    assert "20 completed" in ran.err
    assert desk.run("jobs", "show", f"{batch}.7").code == 0


def test_the_same_command_again_calls_nothing_again(
    desk: Desk, tmp_path: Path, log: Path, out: Path
) -> None:
    words = ("batch", "b__work", write(tmp_path / "rows.jsonl", *labelled(log, 5)))
    first = desk.run(*words, "--out", str(out))
    before = out.read_bytes()
    again = desk.run(*words, "--out", str(out))
    assert (first.code, again.code) == (0, 0)
    assert "continuing after 5 results" in again.err
    assert out.read_bytes() == before
    to_stdout = desk.run(*words)
    assert to_stdout.out.encode() == before
    assert len(starts(log)) == 5
    elsewhere = desk.run(
        *words[:2], write(tmp_path / "more.jsonl", *labelled(log, 6)), "-o", str(out)
    )
    assert elsewhere.code == 2
    assert f"batch {id_of(out)}" in elsewhere.err
    assert out.read_bytes() == before
    wait_for(lambda: len(starts(log)) == 11)
    fresh = desk.run(*words, "--out", str(out), "--new")
    assert fresh.code == 0
    assert len(starts(log)) == 16
    assert rows_of(out) == [1, 2, 3, 4, 5]


def test_what_fails_is_told_by_error_and_row(
    desk: Desk, tmp_path: Path, log: Path, out: Path
) -> None:
    ran = desk.run("batch", "b__work", mixed(tmp_path / "rows.jsonl", log), "--out", str(out))
    assert ran.code == 1
    states = [(each["row"], each["state"], each["tool_error"]) for each in results(out)]
    assert states == [
        (1, "completed", False),
        (2, "refused", False),
        (3, "completed", True),
        (4, "failed", False),
        (5, "refused", False),
        (6, "completed", False),
    ]
    assert "line 2" in json.dumps(results(out)[1]["error"])
    assert "steps" in json.dumps(results(out)[4]["error"])
    said = " ".join(ran.err.split())  # as wide as the terminal is, or is taken to be
    for words in ("2 completed", "1 tool error", "1 failed", "2 broken rows", "not today"):
        assert words in said
    assert f"longhaul batches retry {id_of(out)}" in ran.err


def test_what_failed_is_run_again_alone(desk: Desk, tmp_path: Path, log: Path, out: Path) -> None:
    desk.run("batch", "b__work", mixed(tmp_path / "rows.jsonl", log), "--out", str(out))
    batch = id_of(out)
    assert desk.run("batches", "retry", batch).code == 0
    newest = tmp_path / "newest.jsonl"
    followed = desk.run("batches", "results", batch, "--follow", "--out", str(newest))
    assert followed.code == 1
    assert rows_of(newest) == [1, 2, 3, 4, 5, 6]
    assert "before a retry" not in followed.err
    before = out.read_bytes()
    for more in (["--follow"], []):  # row 4 failed as it had
        older = desk.run("batches", "results", batch, "--out", str(out), *more)
        assert "from before a retry (rows: 3);" in older.err
        assert out.read_bytes() == before
    counted = {line: starts(log).count(line) for line in starts(log)}
    assert counted == {
        "row 1 started": 1,
        "row 3 started": 2,
        "row 4 started": 2,
        "row 6 started": 1,
    }


def test_with_nothing_to_run_again_it_says_why(
    desk: Desk, tmp_path: Path, log: Path, out: Path
) -> None:
    rows = write(tmp_path / "rows.jsonl", *labelled(log, 1), "broken")
    assert desk.run("batch", "b__work", rows, "--out", str(out)).code == 1
    retried = desk.run("batches", "retry", id_of(out))
    assert (retried.code, retried.out) == (0, "")
    assert f"nothing of batch {id_of(out)} to run again; 1 broken row: mend" in retried.err


def test_csv_takes_the_types_of_the_tool(desk: Desk, tmp_path: Path, log: Path, out: Path) -> None:
    rows = write(tmp_path / "rows.csv", "log,label,steps", f'{log},"one, quoted",2', f"{log},two,0")
    ran = desk.run("batch", "b__work", rows, "--out", str(out))
    assert ran.code == 0, ran.err
    assert starts(log) == ["one, quoted started", "two started"]


def test_a_name_that_the_tool_does_not_know_is_remarked_on(
    desk: Desk, tmp_path: Path, log: Path, out: Path
) -> None:
    rows = write(tmp_path / "rows.jsonl", *labelled(log, 2, stps=1))
    ran = desk.run("batch", "b__work", rows, "--out", str(out))
    assert (ran.code, rows_of(out)) == (0, [1, 2])
    assert "did you mean steps?" in ran.err


def test_standard_input_left_to_the_router(desk: Desk, log: Path, out: Path) -> None:
    text = "".join(json.dumps(row) + "\n" for row in labelled(log, 8))
    options = ["--format", "jsonl", "--key", f"mine-{log.parent.name}"]

    def typed(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*LONGHAUL, "batch", "b__work", "-", *options, *more],
            input=text,
            cwd=desk.folder,
            env=desk.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    left = typed("--detach")
    assert left.returncode == 5, left.stderr
    batch = left.stdout.strip()
    shown = ("batches", "show", batch, "--json")
    wait_for(lambda: desk.run(*shown).json["state"] == "completed")
    listed = desk.run("batches", "ls", "--json").json["batches"]
    assert batch in [each["id"] for each in listed]
    assert batch in desk.run("batches", "ls").out
    assert "8 of 8 ended" in desk.run("batches", "show", batch).out
    assert typed("--out", str(out)).returncode == 0
    assert id_of(out) == batch
    assert len(starts(log)) == 8


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_and_typed_again_it_goes_on(
    desk: Desk, tmp_path: Path, log: Path, out: Path, end: signal.Signals
) -> None:
    gate = tmp_path / "gate"
    rows = labelled(log, 40)
    gated = [row | ({"gate": str(gate)} if n >= 10 else {}) for n, row in enumerate(rows)]
    source = write(tmp_path / "rows.jsonl", *gated)
    words = ("batch", "b__work", source, "--out", str(out), "--in-flight", "6")
    with desk.start(*words) as process:
        wait_for(lambda: rows_of(out) == list(range(1, 11)), seconds=30)
        process.send_signal(end)
        said, remarks = process.communicate(timeout=30)
    batch = id_of(out)
    if end is signal.SIGINT:
        assert process.returncode == 5
        assert said.strip() == batch
        assert f"longhaul batches cancel {batch}" in remarks
    else:
        out.write_bytes(out.read_bytes() + b'{"row":11,"id"')  # what it was writing
    shown = desk.run("batches", "show", batch, "--json").json
    assert (shown["state"], shown["created"]) == ("running", 16)
    gate.touch()
    ran = desk.run(*words)
    assert ran.code == 0
    assert "continuing after 10 results" in ran.err
    assert rows_of(out) == list(range(1, 41))
    assert starts(log) == sorted(f"row {n} started" for n in range(1, 41))


def test_as_they_end(desk: Desk, tmp_path: Path, log: Path, out: Path) -> None:
    gate = tmp_path / "gate"
    first, *others = labelled(log, 4)
    rows = write(tmp_path / "rows.jsonl", first | {"gate": str(gate)}, *others)
    words = ("batch", "b__work", rows, "--out", str(out), "--order", "ended")
    with desk.start(*words) as process:
        wait_for(lambda: sorted(rows_of(out)) == [2, 3, 4], seconds=30)
        gate.touch()
        assert process.wait(timeout=30) == 0
    assert rows_of(out)[3] == 1
    other_order = desk.run(*words[:-1], "input")
    assert other_order.code == 2
    assert "--order ended" in other_order.err


def test_a_cancelled_batch_is_exit_6(desk: Desk, tmp_path: Path, log: Path, out: Path) -> None:
    rows = write(tmp_path / "rows.jsonl", *labelled(log, 30, gate=str(tmp_path / "never")))
    words = ("batch", "b__work", rows, "--in-flight", "5")
    batch = desk.run(*words, "--detach").out.strip()
    assert desk.run("batches", "cancel", batch).code == 0
    ran = desk.run(*words, "--out", str(out))
    assert ran.code == 6
    shown = desk.run("batches", "show", batch, "--json").json
    assert shown["state"] == "cancelled"
    assert shown["created"] <= 10
    assert "had ended already" in desk.run("batches", "cancel", batch).err


def test_the_end_as_json(desk: Desk, tmp_path: Path, log: Path, out: Path) -> None:
    rows = write(tmp_path / "rows.jsonl", *labelled(log, 3))
    ended = desk.run("batch", "b__work", rows, "--out", str(out), "--json").json
    assert (ended["state"], ended["rows"], ended["counts"]["completed"]) == ("completed", 3, 3)


def test_one_bar_shows_how_far_it_is(desk: Desk, tmp_path: Path, log: Path, out: Path) -> None:
    gate = tmp_path / "gate"
    *others, last = labelled(log, 5)
    rows = write(tmp_path / "rows.jsonl", *others, last | {"gate": str(gate)})
    with desk.on_a_terminal("batch", "b__work", rows, "--out", str(out)) as terminal:
        terminal.until_shown("4 of 5")
        terminal.until_shown("4 completed")
        gate.touch()
        assert terminal.end() == (0, "")


def test_bad_input_is_refused_with_what_to_do(desk: Desk, tmp_path: Path, out: Path) -> None:
    fine = write(tmp_path / "fine.jsonl", {"log": "x"})
    array = write(tmp_path / "array.jsonl", "[", '{"log": "x"}', "]")
    precious = tmp_path / "precious"
    precious.write_text("not ours\n")
    for words, said in [
        (("b__work", str(tmp_path / "no.jsonl")), "No such file"),
        (("b__work", array), "line 1: a JSON list"),
        (("b__work", write(tmp_path / "a.txt", "x")), "--format"),
        (("b__work", fine, "--out", str(precious)), "no results of a batch"),
        (("b__work", fine, "--key", "two words"), "--key"),
        (("b__work", fine, "--key", "x", "--new"), "exclude"),
        (("b__work", fine, "--json"), "--out"),
        (("b__work", fine, "--detach", "--out", str(out)), "batches results ID"),
    ]:
        ran = desk.run("batch", *words)
        assert (ran.code, said in ran.err) == (2, True), (words, ran.err)
    assert desk.run("batch", "nope", fine, "--out", str(out)).code == 4
    assert precious.read_text() == "not ours\n"
    for command in ("show", "results", "cancel", "retry"):
        assert desk.run("batches", command, "nope").code == 4
