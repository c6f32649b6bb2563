"""A backend that does what a test says, a router in front of it, and an HTTP client."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.backends.legacy_http import LegacyHttp
from tests.support.backends.serving import program, served
from tests.support.ports import free_port
from tests.support.routers import Router, router


@pytest.fixture
def backend() -> LegacyHttp:
    return LegacyHttp()


@pytest.fixture
async def backend_url(backend: LegacyHttp) -> AsyncIterator[str]:
    async with served(backend.app()) as url:
        yield f"{url}/mcp"


@pytest.fixture
async def longhaul(backend_url: str, tmp_path: Path) -> AsyncIterator[Router]:
    async with router(tmp_path, backend_url) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(timeout=20) as client:
        yield client


@pytest.fixture(scope="session")
def asking_url() -> Iterator[str]:
    """A backend of 2026-07-28 whose tools ask their caller."""
    port = free_port()
    with program("asking", port):
        yield f"http://127.0.0.1:{port}/mcp"
