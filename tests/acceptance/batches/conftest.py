"""A router and a person's folder for the batches of a file of tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.desk import Desk


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return Desk.gated(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module", autouse=True)
def router(desk: Desk) -> Iterator[str]:
    with desk.router() as address:
        yield address


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results.jsonl"
