"""Blobs in a bucket behind a link that is slow, or stands still."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from time import monotonic

import pytest

from common.blobs.base import BlobStore, in_pieces, whole
from common.blobs.objects import store
from common.blobs.open import open_blobs
from common.errors import BlobsUnreachableError
from common.jobs.ids import new_job_id
from tests.support.links import Link, linked

pytestmark = pytest.mark.anyio

JOB = new_job_id(1_795_000_000_000)
BODY = os.urandom(4 * 1024 * 1024)
STALLED = 1.0  # seconds


@pytest.fixture
async def far(s3: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[BlobStore, Link]]:
    """A bucket, and what is between it and here."""
    monkeypatch.setattr(store, "STALLED", timedelta(seconds=STALLED))
    monkeypatch.setattr(store, "RETRY_WITHIN", timedelta(seconds=STALLED))
    async with linked(os.environ["AWS_ENDPOINT_URL"]) as link:
        monkeypatch.setenv("AWS_ENDPOINT_URL", link.url)
        blobs = open_blobs(s3)
        assert blobs is not None
        yield blobs, link


async def test_what_comes_slowly_comes_whole(far: tuple[BlobStore, Link]) -> None:
    blobs, link = far
    blob = await blobs.put(JOB, in_pieces(BODY))
    link.slow_down(0.04)
    begun = monotonic()
    assert await whole(blobs, JOB, blob) == BODY
    assert monotonic() - begun > 2 * STALLED


async def test_what_stands_still_is_not_waited_for(far: tuple[BlobStore, Link]) -> None:
    blobs, link = far
    blob = await blobs.put(JOB, in_pieces(BODY))
    link.hold()
    with pytest.raises(BlobsUnreachableError):
        async with asyncio.timeout(15):
            await whole(blobs, JOB, blob)
