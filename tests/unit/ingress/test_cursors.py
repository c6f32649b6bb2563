"""Cursors come back from outside: what a page may have given out, and nothing else."""

import pytest

from common.jobs.ids import row_id
from common.store.base import written_place
from ingress.operations.read import is_cursor

JOB = "0" * 22


@pytest.mark.parametrize("job", [JOB, row_id(JOB, 1), row_id(JOB, 1_000_000)])
@pytest.mark.parametrize("score", [0.0, 1_700_000_000_000.0, 17.25])
def test_a_page_goes_on_after_a_job_and_after_a_row(score: float, job: str) -> None:
    assert is_cursor(written_place((score, job)))


@pytest.mark.parametrize(
    "text", ["", JOB, f":{JOB}", "17:", f"17:{JOB}.", f"x:{JOB}", f"17:{JOB}1"]
)
def test_nothing_else_is_one(text: str) -> None:
    assert not is_cursor(text)
