"""Every store, each test in a store of its own, with the invariants checked after every test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.config.urls import sqlite_url
from common.store.base import Timings
from tests.support.ledger import Ledger, check_invariants, open_ledger
from tests.support.namespaces import Namespace


@pytest.fixture(params=["sqlite", "redis_server", "redis8"], ids=["sqlite", "redis", "redis8"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "longhaul.db")
    url: str = request.getfixturevalue(request.param).url
    return url


@pytest.fixture
def timings() -> Timings:
    return Timings()


@pytest.fixture
async def ledger(store_url: str, namespace: Namespace, timings: Timings) -> AsyncIterator[Ledger]:
    async with open_ledger(store_url, namespace, timings) as opened:
        yield opened
        await check_invariants(opened)
