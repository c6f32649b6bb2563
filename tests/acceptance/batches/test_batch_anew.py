"""`longhaul batch --new` and `--out`: no results are lost, and no other file is written to."""

import signal
import subprocess
from pathlib import Path

from tests.support.batch_files import id_of, labelled, rows_of, starts, write
from tests.support.desk import LONGHAUL, Desk
from tests.support.waiting import wait_for


def test_a_new_one_that_never_begins_leaves_the_results_of_the_last(
    desk: Desk, tmp_path: Path, log: Path, out: Path
) -> None:
    rows = write(tmp_path / "rows.jsonl", *labelled(log, 3))
    assert desk.run("batch", "b__work", rows, "--out", str(out)).code == 0
    before = out.read_bytes()
    assert desk.run("batch", "nope", rows, "--out", str(out), "--new").code == 4
    away = {"LONGHAUL_URL": "http://127.0.0.1:9"}
    assert desk.run("batch", "b__work", rows, "--out", str(out), "--new", **away).code == 3
    assert out.read_bytes() == before
    notes = tmp_path / "notes.txt"
    notes.write_text("precious\n")
    foreign = desk.run("batch", "b__work", rows, "--out", str(notes), "--new")
    assert (foreign.code, "no results of a batch" in foreign.err) == (2, True)
    assert notes.read_text() == "precious\n"
    assert len(starts(log)) == 3


def test_a_new_one_goes_on_by_its_id(desk: Desk, tmp_path: Path, log: Path, out: Path) -> None:
    rows = write(tmp_path / "rows.jsonl", *labelled(log, 3))
    left = desk.run("batch", "b__work", rows, "--new", "--detach")
    how = f"batches results {left.out.strip()} --follow"
    assert f"longhaul {how} continues" in " ".join(left.err.split())
    assert "same command" not in left.err  # that would run everything once more
    assert desk.run(*how.split(), "--out", str(out)).code == 0
    assert (rows_of(out), len(starts(log))) == ([1, 2, 3], 3)


def test_a_new_one_that_was_left_goes_on_by_what_was_printed(
    desk: Desk, tmp_path: Path, log: Path, out: Path
) -> None:
    gate = tmp_path / "gate"
    gate.touch()
    rows = labelled(log, 1) + [row | {"gate": str(gate)} for row in labelled(log, 3)[1:]]
    words = ("batch", "b__work", write(tmp_path / "rows.jsonl", *rows), "--out", str(out))
    assert desk.run(*words).code == 0
    old = id_of(out)
    gate.unlink()
    with desk.start(*words, "--new") as process:
        wait_for(lambda: rows_of(out) == [1] and id_of(out) != old, seconds=30)
        process.send_signal(signal.SIGINT)
        said, remarks = process.communicate(timeout=30)
    assert process.returncode == 5
    how = ("batches", "results", said.strip(), "--follow", "--out", str(out))
    printed = f"longhaul {' '.join(how)}"
    assert f"{printed} continues" in " ".join(remarks.split())
    assert "same command" not in remarks
    plain = desk.run(*words)  # is the old batch
    assert (plain.code, printed in " ".join(plain.err.split())) == (2, True), plain.err
    gate.touch()
    assert desk.run(*how).code == 0
    assert (id_of(out), rows_of(out)) == (said.strip(), [1, 2, 3])
    assert len(starts(log)) == 6


def test_results_never_go_over_the_rows(desk: Desk, tmp_path: Path, log: Path) -> None:
    source = tmp_path / "rows.jsonl"
    write(source, *({"row": 1, "id": "b.1", **row} for row in labelled(log, 1)))  # like a result
    before = source.read_bytes()
    (tmp_path / "link.jsonl").symlink_to(source)
    for target in (source, tmp_path / "link.jsonl"):
        for more in ((), ("--new",)):
            ran = desk.run("batch", "b__work", str(source), "--out", str(target), *more)
            assert (ran.code, "is the file of the rows" in ran.err) == (2, True), ran.err
            assert "--new" not in ran.err
            assert source.read_bytes() == before
    words = (*LONGHAUL, "batch", "b__work", "-", "--format", "jsonl", "--out", str(source), "--new")
    with source.open("rb") as rows:
        redirected = subprocess.run(
            words, stdin=rows, env=desk.environment, cwd=desk.folder, check=False
        )
    assert (redirected.returncode, source.read_bytes()) == (2, before)
