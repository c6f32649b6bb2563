"""Other people's clients and servers, through a `longhaul up` that all tests here share.

They run when this folder is named, as `make interop` does: a tool of three minutes is among them.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.interop.clients import driven
from tests.interop.driven import Driven
from tests.interop.long_call import WAITING, Answers, follow
from tests.interop.world import LIBRARIES, World, published, small
from tests.support.peers import npm_bin, peer_python

HERE = Path(__file__).parent


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    named = any(HERE.name in Path(argument.partition("::")[0]).parts for argument in config.args)
    return None if named else True


@pytest.fixture(scope="session")
def in_node() -> None:
    """The peers that nothing here can do without are there."""
    npm_bin("mcp-server-everything")


@pytest.fixture(scope="session")
def in_python(in_node: None) -> Iterator[None]:
    """So are servers' peers; that of a client is made while the first tests run."""
    del in_node
    with ThreadPoolExecutor(2) as makers:
        servers = [makers.submit(peer_python, name) for name in ("fastmcp", "git", "time")]
        makers.submit(peer_python, "mcp1")
        for made in servers:
            made.result()
        yield


@pytest.fixture(scope="session")
def world(in_python: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    del in_python
    with published(tmp_path_factory.mktemp("interop")) as running:
        yield running


@pytest.fixture(scope="session")
def small_world(in_node: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Sooner there: for the call that takes the longest."""
    del in_node
    with small(tmp_path_factory.mktemp("small")) as running:
        yield running


@pytest.fixture(scope="session", params=LIBRARIES)
def client(request: pytest.FixtureRequest, world: World) -> Iterator[Driven]:
    """One that is connected to the router, for all tests that want it."""
    with driven(request.param, world) as running:
        yield running


@pytest.fixture(scope="session")
def agent(world: World) -> Iterator[Driven]:
    """One client, for tests that show a server."""
    with driven("official-auto", world) as running:
        yield running


@pytest.fixture(scope="session")
def three_minutes(small_world: World) -> Iterator[Mapping[str, Future[Answers]]]:
    with ThreadPoolExecutor(len(WAITING)) as threads:
        yield {name: threads.submit(follow, name, small_world) for name in WAITING}


@pytest.fixture(scope="session", autouse=True)
def begun_early(request: pytest.FixtureRequest) -> None:
    """What takes minutes goes on beside everything else."""
    names = {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    if "three_minutes" in names:
        request.getfixturevalue("three_minutes")
