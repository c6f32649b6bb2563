"""A pytest plugin: the places a system may stand in, and what it says there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.journal import Journal, journal
from tests.support.namespaces import Namespace
from tests.support.servers import Shared
from tests.support.system import Place, embedded


@pytest.fixture
def said() -> Iterator[Journal]:
    """What was logged; a test fails when a boundary had to catch what nobody expected."""
    with journal() as kept:
        yield kept
    assert kept.unexpected == []


@pytest.fixture
def embedded_place(tmp_path: Path) -> Place:
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
