"""A batch of some thousand rows with kill -9 on the way; `make volume` does it with 100,000."""

from pathlib import Path

import pytest

from tests.volume.run import volume
from tests.volume.verdict import table

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]


async def test_each_row_has_one_line_whoever_is_killed(tmp_path: Path) -> None:
    verdict = await volume(tmp_path, 2000)
    assert verdict.kept, table(verdict)
