"""The rows of a batch as people have them, and what is said of those that are none."""

import io
from pathlib import Path

import pytest

from longhaul.batch.asking import derived_key
from longhaul.batch.rows import RowFormat, open_rows
from longhaul.exits import UsageError

ROW = b'{"n": 1}\n'


def written(folder: Path, name: str, text: bytes) -> str:
    (folder / name).write_bytes(text)
    return str(folder / name)


@pytest.mark.parametrize(
    ("name", "form", "media"),
    [
        ("a.jsonl", RowFormat.JSONL, "application/x-ndjson"),
        ("a.NDJSON", RowFormat.JSONL, "application/x-ndjson"),
        ("a.csv", RowFormat.CSV, "text/csv"),
    ],
)
def test_the_name_says_what_they_are(
    tmp_path: Path, name: str, form: RowFormat, media: str
) -> None:
    text = b"n\n1\n" if form is RowFormat.CSV else ROW
    with open_rows(written(tmp_path, name, text), None, io.BytesIO()) as rows:
        assert (rows.format, rows.format.media_type, rows.size) == (form, media, len(text))
        assert b"".join(rows.pieces()) == b"".join(rows.pieces()) == text


def test_rows_that_grow_meanwhile_are_sent_as_they_were_read(tmp_path: Path) -> None:
    source = written(tmp_path, "a.jsonl", ROW)
    with open_rows(source, None, io.BytesIO()) as rows:
        (tmp_path / "a.jsonl").write_bytes(ROW * 2)
        assert b"".join(rows.pieces()) == ROW


@pytest.mark.parametrize("after", [b"", ROW[:-1], b'{"n": 2}\n'])
def test_rows_that_are_others_meanwhile_are_not_sent(tmp_path: Path, after: bytes) -> None:
    source = written(tmp_path, "a.jsonl", ROW)
    with open_rows(source, None, io.BytesIO()) as rows:
        (tmp_path / "a.jsonl").write_bytes(after)
        with pytest.raises(UsageError, match="was changed"):
            list(rows.pieces())


def test_standard_input_is_read_once_and_sent_as_often_as_needed() -> None:
    with open_rows("-", RowFormat.JSONL, io.BytesIO(ROW * 3)) as rows:
        assert [b"".join(rows.pieces()) for _ in range(2)] == [ROW * 3] * 2
        assert rows.name == "standard input"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", ROW, "--format"),
        ("-", ROW, "--format"),
        ("a.jsonl", b"\n \n", "has no rows"),
        ("a.jsonl", b"", "has no rows"),
        ("a.jsonl", b'\n[1]\n"x"\n', "a.jsonl, line 2: should be a JSON object"),
        ("a.jsonl", b'[\n{"n": 1},\n{"n": 2}\n]\n', "a.jsonl, line 1: a JSON list"),
        ("a.jsonl", b"n,m\n1,2\n", "a.jsonl, line 1: not JSON"),
        ("a.jsonl", b'{"n": "\xff"}\n', "a.jsonl, line 1: not JSON"),
        ("a.csv", b"n,m\n", "its first line names the arguments"),
        ("a.csv", b"", "has no rows"),
    ],
)
def test_what_cannot_be_rows_is_refused_by_line(
    tmp_path: Path, name: str, text: bytes, said: str
) -> None:
    source = "-" if name == "-" else written(tmp_path, name, text)
    with pytest.raises(UsageError) as refused, open_rows(source, None, io.BytesIO(text)):
        pass
    assert said in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="No such file"),
        open_rows(str(tmp_path / "no.jsonl"), None, io.BytesIO()),
    ):
        pass


def test_some_broken_rows_are_left_to_the_router(tmp_path: Path) -> None:
    source = written(tmp_path, "a.jsonl", b"broken\n\xef\xbb\xbf" + ROW)
    with open_rows(source, None, io.BytesIO()) as rows:
        assert rows.size == 19


def test_the_same_again_is_the_same_batch(tmp_path: Path) -> None:
    keys = []
    for text in (ROW, ROW, ROW * 2):
        with open_rows(written(tmp_path, "a.jsonl", text), None, io.BytesIO()) as rows:
            keys += [derived_key("t", rows, None, None), derived_key("t", rows, 8, None)]
            keys += [derived_key("u", rows, None, 4)]
    assert keys[:3] == keys[3:6]
    assert len(set(keys)) == 6


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("a.jsonl", b'\xef\xbb\xbf{"n": 1}\n\nbroken\n{"m": 2, "n": 3}\n', ["n", "m"]),
        ("a.csv", b'\xef\xbb\xbfn,"two, words"\n1,2\n', ["n", "two, words"]),
    ],
)
def test_the_names_of_the_first_rows(
    tmp_path: Path, name: str, text: bytes, names: list[str]
) -> None:
    with open_rows(written(tmp_path, name, text), None, io.BytesIO()) as rows:
        assert rows.first_names() == names
        assert b"".join(rows.pieces()) == text


@pytest.mark.parametrize(("separator", "said"), [(b";", "semicolons"), (b"\t", "tabs")])
def test_a_csv_with_another_separator_is_refused(
    tmp_path: Path, separator: bytes, said: str
) -> None:
    source = written(tmp_path, "a.csv", b"n%bm\n1%b2\n" % (separator, separator))
    with pytest.raises(UsageError, match=said), open_rows(source, None, io.BytesIO()):
        pass
