"""Everything breaks at random, for a short while; `make chaos` does it for longer."""

import sys
from pathlib import Path

import pytest

from tests.chaos.run import chaos
from tests.chaos.verdict import table

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


async def test_nothing_is_lost_and_nothing_runs_twice_that_must_not(tmp_path: Path) -> None:
    verdict = await chaos(tmp_path, calls=250, seconds=40, seed=7)
    assert verdict.kept, table(verdict)
    assert verdict.run_again > 0, "no fault hit a running tool: this run shows nothing"


async def test_without_the_fence_tools_run_twice(tmp_path: Path) -> None:
    """The control. It fails when a run would not notice what it is made to notice."""
    worker = (sys.executable, "-m", "tests.chaos.unfenced")
    verdict = await chaos(tmp_path, calls=120, seconds=20, seed=7, afterwards=0, worker=worker)
    assert verdict.twice, table(verdict)
