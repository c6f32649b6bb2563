"""Fixtures that every tier may use. Servers start when the first test asks for one."""

import os
from collections.abc import Callable, Iterator

import pytest

from tests.support import namespaces
from tests.support.namespaces import Namespace
from tests.support.private import NoServerError, PrivateServer
from tests.support.servers import (
    Given,
    Shared,
    new_rabbit,
    new_rabbit43,
    new_redis,
    new_redis8,
    prepare,
    shared,
    take_given,
)

pytest_plugins = [
    "tests.support.tiers",
    "tests.support.places",
    "tests.support.blobs",
    "tests.support.receiver",
]
GIVEN = pytest.StashKey[Given]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[GIVEN] = take_given(os.environ)
    if config.getoption("numprocesses", None):  # before the test processes start, all at once
        have_servers(config)


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = any(item.get_closest_marker("servers") for item in session.items)
    if wanted and not session.config.option.collectonly:
        have_servers(session.config)


def have_servers(config: pytest.Config) -> None:
    """Without servers for tests that need them the run ends here, with what to do about it."""
    try:
        prepare(config.stash[GIVEN])
    except NoServerError as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def rabbit(pytestconfig: pytest.Config) -> Iterator[Shared]:
    """A RabbitMQ for all tests; each uses its `namespace` on it, and none stops it."""
    with shared(pytestconfig.stash[GIVEN].broker, new_rabbit) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(pytestconfig: pytest.Config) -> Iterator[Shared]:
    """A Redis for all tests; each uses its `namespace` on it, and none stops it."""
    with shared(pytestconfig.stash[GIVEN].store, new_redis) as server:
        yield server


@pytest.fixture(scope="session")
def rabbit43() -> Iterator[Shared]:
    """A shared RabbitMQ 4.3, whose quorum queues keep priorities; skips where there is none."""
    with or_skip(new_rabbit43) as server:
        yield Shared(url=server.url)


@pytest.fixture(scope="session")
def redis8() -> Iterator[Shared]:
    """A shared Redis 8; skips where there is none."""
    with or_skip(new_redis8) as server:
        yield Shared(url=server.url)


@pytest.fixture(scope="module")
def private_rabbit() -> Iterator[PrivateServer]:
    """A RabbitMQ that the tests of a module may stop, kill and hold; they leave it running."""
    with or_skip(new_rabbit) as server:
        yield server


@pytest.fixture(scope="module")
def private_redis() -> Iterator[PrivateServer]:
    """A Redis that the tests of a module may stop, kill and hold; they leave it running."""
    with or_skip(new_redis) as server:
        yield server


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Iterator[Namespace]:
    """A fresh name on the shared servers; what a test leaves under it is removed."""
    fresh = Namespace.fresh()
    yield fresh
    used = {
        name: request.getfixturevalue(name).url
        for name in ("rabbit", "redis_server")
        if name in request.fixturenames
    }
    namespaces.remove(fresh, broker=used.get("rabbit"), store=used.get("redis_server"))


def or_skip(new: Callable[[], PrivateServer]) -> PrivateServer:
    """Where the shared servers were given, there may be no private ones."""
    try:
        return new()
    except NoServerError as error:
        pytest.skip(str(error))
