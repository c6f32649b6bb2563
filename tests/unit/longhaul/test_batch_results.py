"""The results file of a batch: each row once, however often its writer was killed."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longhaul.batch.results import Order, open_results
from longhaul.exits import UsageError


def line(row: int, batch: str = "b", **more: int) -> bytes:
    return json.dumps({"row": row, "id": f"{batch}.{row}", "state": "completed", **more}).encode()


def write(path: Path, *lines: bytes, order: Order = Order.INPUT) -> int:
    """How many lines are there afterwards."""
    with open_results(path, order, replace=False) as results:
        results.begin("b")
        for each in lines:
            results.add(each)
        return results.lines


def rows(path: Path) -> list[int]:
    return [json.loads(each)["row"] for each in path.read_bytes().splitlines()]


def test_it_is_continued(tmp_path: Path) -> None:
    file = tmp_path / "out"
    assert write(file, line(1), line(2)) == 2
    with open_results(file, Order.INPUT, replace=False) as results:
        assert (results.lines, results.batch, results.after) == (2, "b", 2)
    assert write(file, line(2), line(3)) == 3
    assert rows(file) == [1, 2, 3]


def test_in_the_order_of_ends_the_position_counts(tmp_path: Path) -> None:
    file = tmp_path / "out"
    write(file, line(9, at=1), line(2, at=2), order=Order.ENDED)
    with open_results(file, Order.ENDED, replace=False) as results:
        assert results.after == 2
    write(file, line(2, at=2), line(1, at=3), order=Order.ENDED)
    assert rows(file) == [9, 2, 1]


@settings(deadline=None)
@given(cut=st.integers(min_value=0), pad=st.integers(min_value=0, max_value=3 << 20))
def test_wherever_it_was_cut_off_each_row_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, cut: int, pad: int
) -> None:
    file = tmp_path_factory.mktemp("cut") / "out"
    every = [line(1), line(2, pad=10 ** (pad % 4000)), line(3)]
    write(file, *every)
    whole = file.read_bytes()
    file.write_bytes(whole[: cut % (len(whole) + 1)])
    write(file, *every)
    assert file.read_bytes() == whole


def test_long_lines_are_found_over_many_pieces(tmp_path: Path) -> None:
    file = tmp_path / "out"
    long = json.dumps({"row": 2, "id": "b.2", "text": "x" * (3 << 20)}).encode()
    write(file, line(1), long)
    file.write_bytes(file.read_bytes() + b"y" * (2 << 20))
    with open_results(file, Order.INPUT, replace=False) as results:
        assert (results.lines, results.after) == (2, 2)
        results.begin("b")
    assert file.stat().st_size == len(line(1)) + len(long) + 2


@pytest.mark.parametrize("text", [b"a,b\n", b'{"id": "x"}\n', b'{"id": "x.3", "row": 4}\n', b"7\n"])
def test_another_programs_file_is_left_alone(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "out"
    file.write_bytes(text)
    with pytest.raises(UsageError, match="no results of a batch"):
        write(file, line(1))
    assert file.read_bytes() == text


def test_half_a_line_of_another_program_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "out"
    file.write_bytes(b"precious, without an end of line")
    with pytest.raises(UsageError, match="no results of a batch"):
        write(file, line(1))
    assert file.read_bytes() == b"precious, without an end of line"


def test_another_batchs_file_and_another_order_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "out"
    write(file, line(1))
    with open_results(file, Order.INPUT, replace=False) as results:
        with pytest.raises(UsageError, match="batch b, not of c"):
            results.begin("c")
        results.begin("b")
    with pytest.raises(UsageError, match="--order input"):
        write(file, order=Order.ENDED)


def test_a_file_is_one_commands(tmp_path: Path) -> None:
    with (
        open_results(tmp_path / "out", Order.INPUT, replace=False),
        pytest.raises(UsageError, match="another command"),
    ):
        write(tmp_path / "out")


@pytest.mark.parametrize("order", Order)
def test_it_is_replaced_when_asked_once_the_new_batch_is_there(
    tmp_path: Path, order: Order
) -> None:
    file = tmp_path / "out"
    write(file, line(1), line(2))
    before = file.read_bytes()
    with open_results(file, order, replace=True) as results:
        assert file.read_bytes() == before
        results.begin("new")
        assert (results.lines, results.after) == (0, 0)
        results.add(line(1, "new", at=1))
    assert file.read_bytes() == line(1, "new", at=1) + b"\n"


def test_nothing_is_lost_when_the_new_batch_never_begins(tmp_path: Path) -> None:
    file = tmp_path / "out"
    write(file, line(1))
    file.write_bytes(file.read_bytes() + line(2)[:12])
    before = file.read_bytes()
    for replace in (True, False):
        with open_results(file, Order.INPUT, replace=replace):
            pass
        assert file.read_bytes() == before


def test_rows_that_ran_again_since_are_named_and_it_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "out"
    compact = [b'{"row":%d,"id":"b.%d","state":"failed"}' % (row, row) for row in (1, 2, 3)]
    write(file, *compact)
    newest = [
        b'{"row":2,"id":"b.2","state":"failed","at":4}',  # as it was
        b'{"row":3,"id":"b.3","state":"completed","at":5}',
        b'{"row":4,"id":"b.4","state":"completed","at":6}',  # not fetched yet
    ]
    with open_results(file, Order.INPUT, replace=False) as results:
        results.begin("b")
        assert results.older(newest) == [3]
        assert results.older([]) == []
        results.add(line(4))
    assert rows(file) == [1, 2, 3, 4]


def test_another_programs_file_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(b"precious\n")
    with (
        pytest.raises(UsageError, match="no results of a batch"),
        open_results(file, Order.INPUT, replace=True) as results,
    ):
        results.begin("new")
    assert file.read_bytes() == b"precious\n"


def test_what_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write"):
        write(tmp_path / "no" / "out")
