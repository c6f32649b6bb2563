"""Systems in both kinds of place; what they log is looked at after each test.

The ledger's invariants are checked whenever a system is closed: `tests/support/system.py`.
"""

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from common.config.model import Backend
from tests.support.journal import Journal
from tests.support.system import OpenSystem, Place, System, open_system


@pytest.fixture(autouse=True)
def watched(said: Journal) -> Journal:
    """Every test here fails on what a boundary of the program had to catch."""
    return said


@pytest.fixture(params=["embedded", "rabbit"], ids=["embedded", "distributed"])
def place(request: pytest.FixtureRequest) -> Place:
    kind = "embedded_place" if request.param == "embedded" else "distributed_place"
    found: Place = request.getfixturevalue(kind)
    return found


@pytest.fixture
def system_on(place: Place) -> OpenSystem:
    """Open a system with these backends and settings."""

    def opened(*backends: Backend, **settings: Any) -> AbstractAsyncContextManager[System]:
        return open_system(place.settings(*backends, **settings))

    return opened
