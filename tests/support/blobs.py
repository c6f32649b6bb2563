"""A pytest plugin: an S3 for all tests that want one, started with the first of them."""

import secrets
from collections.abc import Iterator

import pytest

from tests.support.private_s3 import BUCKET, PrivateS3


@pytest.fixture(scope="session")
def s3_server() -> Iterator[PrivateS3]:
    with PrivateS3() as server:
        yield server


@pytest.fixture
def s3(s3_server: PrivateS3, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a fresh prefix; the environment tells every process of the test the rest."""
    for name, value in s3_server.variables.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{secrets.token_hex(8)}"
