"""Systems on every kind of place; what they log and leave behind is looked at after each test."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from common.config.model import Backend
from tests.support.journal import Journal, journal
from tests.support.namespaces import Namespace
from tests.support.servers import Shared
from tests.support.system import OpenSystem, Place, System, embedded, open_system


@pytest.fixture(autouse=True)
def said() -> Iterator[Journal]:
    """What was logged; a test fails when a boundary had to catch what nobody expected."""
    with journal() as kept:
        yield kept
    assert kept.unexpected == []


@pytest.fixture(params=["embedded", "rabbit"], ids=["embedded", "distributed"])
def place(request: pytest.FixtureRequest) -> Place:
    kind = "embedded_place" if request.param == "embedded" else "distributed_place"
    found: Place = request.getfixturevalue(kind)
    return found


@pytest.fixture
def embedded_place(tmp_path: Path) -> Place:
    """For what does not depend on broker and store."""
    return embedded(tmp_path)


@pytest.fixture
def distributed_place(
    rabbit: Shared, redis_server: Shared, namespace: Namespace, tmp_path: Path
) -> Place:
    return Place(
        broker_url=rabbit.url,
        store_url=redis_server.url,
        namespace=namespace,
        data=tmp_path / "data",
    )


@pytest.fixture
def system_on(place: Place) -> OpenSystem:
    """Open a system with these backends and settings."""

    def opened(*backends: Backend, **settings: Any) -> AbstractAsyncContextManager[System]:
        return open_system(place.settings(*backends, **settings))

    return opened
